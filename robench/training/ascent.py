"""What training methods that attack their minibatches share."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from robench.base import LogitsModel
from robench.errors import UserError


def sign_of_gradient(logits: LogitsModel, images: Tensor, labels: Tensor) -> Tensor:
    """Return the sign of the gradient of each image's cross-entropy, (B, C, H, W).

    Args:
        logits: images -> float32 logits; one forward is made.
        images: (B, C, H, W) in [0, 1].
        labels: (B,) int64.
    """
    seen = images.detach().requires_grad_()
    loss = F.cross_entropy(logits(seen), labels, reduction="sum")
    return torch.autograd.grad(loss, seen)[0].sign()


def uniform_noise(images: Tensor, radius: float) -> Tensor:
    """Return noise that is uniform in [-radius, radius], in the shape of ``images``.

    It is drawn from torch's generator, which the training loop seeds for each epoch.
    """
    return torch.empty_like(images).uniform_(-radius, radius)


def check_fraction_of_eps(name: str, value: float) -> None:
    """Check an option that is a length as a fraction of eps.

    Raises:
        UserError: if it is not a positive number.
    """
    if not 0 < value < math.inf:
        raise UserError(f"{name} is {value:g}: it must be above 0; 1 stands for eps.")
