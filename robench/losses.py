"""What gradient and score attacks climb: losses of logits, a number a sample."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from robench.contracts import LogitsModel
from robench.errors import UserError

Loss = Literal["ce", "margin"]
"""Cross-entropy, or the logit of the best other class minus that of the true one."""


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log((1 - p) / p) of the true class's probability p, (B, classes) -> (B,).

    It rises exactly as p falls, but keeps its value where p rounds to 1 (in float32 from a logit
    margin of 17 on).
    """
    true, others = _split(logits, labels)
    return others.logsumexp(1) - true


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the best other logit minus the true one, (B, classes) -> (B,); > 0 where fooled."""
    true, others = _split(logits, labels)
    return others.amax(1) - true


def input_gradient(model: LogitsModel, images: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return the gradient of each sample's loss with respect to its image, in float32.

    Losses are summed over the samples, so that none depends on the size of its batch. Where the
    cross-entropy of a sample has saturated and every gradient is exactly 0 (in float32 from a
    logit margin of about 100 on), the gradient of its margin stands in. Works inside
    ``torch.no_grad`` and ``torch.inference_mode``; no ``.grad`` of the model is touched.

    Args:
        model: images -> logits.
        images: (B, C, H, W) float32.
        labels: (B,) true classes of any integer dtype.
        loss: what to differentiate.

    Returns:
        (B, C, H, W) float32.

    Raises:
        UserError: for a model whose logits are cut off from its images.
    """
    with torch.inference_mode(False), torch.enable_grad():
        inputs, labels = images.detach().clone().requires_grad_(), labels.long().clone()
        logits = model(inputs).float()
        if not logits.requires_grad:
            raise UserError(
                "the model's logits have no gradient with respect to its images (a detach or "
                "no_grad inside it?); use an attack that needs none, such as 'simba'."
            )
        losses = margin(logits, labels) if loss == "margin" else _cross_entropy(logits, labels)
        gradient = _gradient(losses, inputs)
        lost = gradient.flatten(1).abs().amax(1) == 0
        if loss == "ce" and lost.any():
            gradient[lost] = _gradient(margin(logits, labels)[lost], inputs)[lost]
        return gradient.float()


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, reduction="none")


def _gradient(losses: Tensor, inputs: Tensor) -> Tensor:
    return torch.autograd.grad(losses.sum(), inputs, retain_graph=True)[0]


def _split(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the true class's logit (B,) and the logits with -inf in its place (B, classes)."""
    index = labels.long().unsqueeze(1)
    return logits.gather(1, index).squeeze(1), logits.scatter(1, index, -torch.inf)
