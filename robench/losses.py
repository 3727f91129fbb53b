"""What gradient and score attacks climb: losses of logits, a number a sample."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from robench.contracts import LogitsModel

Loss = Literal["ce", "margin"]
"""Cross-entropy, or the logit of the best other class minus that of the true one."""


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log((1 - p) / p) of the true class's probability p, (B, classes) -> (B,).

    It rises exactly as p falls, and its gradient is the cross-entropy's divided by 1 - p; but
    where p rounds to 1 (in float32 from a logit margin of 17 on) and then the gradient of the
    cross-entropy to 0 (from about 100 on), this one keeps its value: it becomes the margin.
    """
    true, others = _split(logits, labels)
    return others.logsumexp(1) - true


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the best other logit minus the true one, (B, classes) -> (B,); > 0 where fooled."""
    true, others = _split(logits, labels)
    return others.amax(1) - true


def input_gradient(model: LogitsModel, images: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return, for each sample, a positive multiple of its loss's gradient with respect to it.

    Steps along a sign or a normalised gradient do not see the multiple. Losses are summed over
    the samples, so that none depends on the size of its batch. Works inside ``torch.no_grad`` and
    ``torch.inference_mode``; no ``.grad`` of the model is touched.

    Args:
        model: images -> logits.
        images: (B, C, H, W) float32.
        labels: (B,) true classes of any integer dtype.
        loss: "ce" is climbed as :func:`log_odds`, which has its direction and never saturates.
    """
    with torch.inference_mode(False), torch.enable_grad():
        inputs = images.detach().clone().requires_grad_()
        losses = _LOSSES[loss](model(inputs).float(), labels.clone())
        return torch.autograd.grad(losses.sum(), inputs)[0].float()


def _split(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the true class's logit (B,) and the logits with -inf in its place (B, classes)."""
    index = labels.long().unsqueeze(1)
    return logits.gather(1, index).squeeze(1), logits.scatter(1, index, -torch.inf)


_LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {"ce": log_odds, "margin": margin}
