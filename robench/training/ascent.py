"""What training methods that attack their minibatches share."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from robench.attack_tools.losses import GradientError, ascent_direction
from robench.base import LogitsModel
from robench.errors import UserError


def loss_gradient(logits: LogitsModel, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each image's cross-entropy, (B, C, H, W) float32.

    Attacks in an evaluation look for saturated losses, too; on a GPU that would wait for the
    device in each step of the training.

    Args:
        logits: images -> float32 logits; one forward is made.
        images: (B, C, H, W) in [0, 1].
        labels: (B,) int64.

    Raises:
        UserError: if the images have no gradient.
    """
    losses = partial(F.cross_entropy, target=labels, reduction="none")
    try:
        return ascent_direction(logits, images, losses)[0]
    except GradientError as error:
        raise UserError(f"{error.cause}.") from error


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
