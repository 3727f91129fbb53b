"""Per-sample losses that gradient- and score-based attacks maximize."""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from robench.attack_tools.victims import as_victim
from robench.base import LogitsModel
from robench.errors import UserError, first_line
from robench.system.out_of_memory import is_of_machine

Loss = Literal["ce", "margin"]
"""Cross-entropy, or the logit of the best other class minus that of the true one."""

Objective = Callable[[Tensor], Tensor]
"""Logits (B, classes) -> the loss of each sample (B,), differentiable."""

NO_GRADIENT = (
    "the model's logits have no gradient with respect to its images (a detach or no_grad inside "
    "it?)"
)
"""What is wrong with a model whose logits are cut off from its images."""

_OTHER_ATTACK = "use an attack that needs none, such as 'square'"

_NO_SPREAD = 1e-12
"""Added to the spread of logits to divide by, as in the paper: all of them may be equal."""

_SATURATED = math.log(1e-30)
"""Log-probability of all other classes below which float32 loses the cross-entropy gradient."""


class GradientError(UserError):
    """A model gives no gradient with respect to its images.

    Args:
        message: what is wrong, and what to do in an evaluation. Alone, it makes the error again
            that another process has raised.
        cause: what is wrong, without the full stop; to a training, another attack is no help.
    """

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log((1 - p) / p) of the true class's probability p, (B, classes) -> (B,).

    It rises exactly when p falls, but keeps its precision where p rounds to 1 (in float32, from a
    logit margin of 17 on).
    """
    true, others = _split(logits, labels)
    return others.logsumexp(1) - true


def minus_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Return minus the float32 softmax of the true class, (B, classes) -> (B,).

    It is exactly -1 from a margin of about 17 logits on; :func:`log_odds` is not so rounded.
    """
    return -logits.float().softmax(1).gather(1, labels.long().unsqueeze(1)).squeeze(1)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the best other logit minus the true one, (B, classes) -> (B,); > 0 if fooled."""
    true, others = _split(logits, labels)
    return others.amax(1) - true


def unsaturated_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy that attacks climb, (B, classes) -> (B,).

    Where its gradient is lost in float32, it is the margin: see :func:`input_gradient`.
    """
    losses = functional.cross_entropy(logits, labels, reduction="none")
    saturated = log_odds(logits.detach(), labels) < _SATURATED
    if not saturated.any():
        return losses
    return torch.where(saturated, margin(logits, labels), losses)


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the difference-of-logits ratio, (B, classes) -> (B,); > 0 if fooled.

        (best other logit - true one) / (largest logit - third largest)

    It does not change if the logits are shifted or scaled (Croce and Hein 2020, Equation 6).
    """
    top = logits.topk(3, dim=1).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2] + _NO_SPREAD)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the difference-of-logits ratio of target classes, (B, classes) -> (B,).

        (target's logit - true one) / (largest logit - mean of the third and fourth largest)

    See Croce and Hein 2020, Equation 7.

    Args:
        logits: (B, classes), of at least four classes.
        labels: (B,) true classes.
        targets: (B,) the classes to reach.
    """
    top = logits.topk(4, dim=1).values
    true, wanted = (logits.gather(1, y.long().unsqueeze(1)).squeeze(1) for y in (labels, targets))
    return (wanted - true) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + _NO_SPREAD)


def predict(model: LogitsModel, images: Tensor) -> Tensor:
    """Return float32 logits to predict from, (B, C, H, W) -> (B, classes); without gradient.

    A model under evaluation computes them faster than a plain call does, and equal up to rounding
    (:class:`robench.base.VictimModel`).
    """
    return as_victim(model).predict(images)


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """Return whether logits (B, classes) predict the true classes (B,), bool.

    Logits that are not finite are never right: an attack that took the first of them for a
    prediction would give up images of that class which it has fooled.
    """
    return logits.isfinite().all(1) & logits.argmax(1).eq(labels)


def fooled(model: LogitsModel, images: Tensor, labels: Tensor) -> Tensor:
    """Return whether each float32 prediction is not right, (B, C, H, W) -> (B,) bool."""
    return ~right(predict(model, images), labels)


def input_gradient(
    model: LogitsModel, images: Tensor, labels: Tensor, loss: Loss
) -> tuple[Tensor, Tensor]:
    """Return the gradient of each sample's loss with respect to its image, and the logits.

    Losses are summed over the samples, so that none depends on the size of its batch. If the
    cross-entropy of a sample has saturated and its gradient is lost in float32 (the probability of
    all other classes is below 1e-30, from a logit margin of about 70 on), the margin is maximized
    instead. Works inside ``torch.no_grad`` and ``torch.inference_mode``, and touches no ``.grad``
    of the model. A model under evaluation uses its fast copy (:class:`robench.base.VictimModel`).

    Args:
        model: images -> logits.
        images: (B, C, H, W) float32.
        labels: (B,) true classes of any integer dtype.
        loss: the loss to differentiate.

    Returns:
        (B, C, H, W) float32, and (B, classes) float32.

    Raises:
        UserError: if the model's logits are detached from its images.
    """
    maximized = margin if loss == "margin" else unsaturated_cross_entropy
    with torch.inference_mode(False):
        truth = labels.clone().long() if labels.is_inference() else labels.long()
    gradient, _, logits = ascent_direction(model, images, lambda z: maximized(z, truth))
    return gradient, logits


def ascent_direction(
    model: LogitsModel, images: Tensor, objective: Objective, *, exactly: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradient of each sample's loss with respect to its image, the losses, the logits.

    As :func:`input_gradient`, for any loss.

    Args:
        model: images -> logits.
        images: (B, C, H, W) float32.
        objective: the loss of each sample.
        exactly: take the gradient and the losses in float32.

    Returns:
        (B, C, H, W), (B,) and (B, classes), all float32.

    Raises:
        UserError: if the model's logits are detached from its images.
    """
    victim = as_victim(model)
    with torch.inference_mode(False), torch.enable_grad():
        inputs = (images.clone() if images.is_inference() else images).detach().requires_grad_()
        ask = victim.for_exact_gradients if exactly else victim.for_gradients
        logits = _attached(ask(inputs))
        losses = objective(logits)
        gradient = gradient_of(losses.sum(), inputs)
        return gradient.float(), losses.detach(), logits.detach()


def ascent_directions(
    model: LogitsModel, images: Tensor, objectives: Objective
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield gradients and losses of several objectives in turn, of one forward.

    As :func:`ascent_direction`, which is for a single objective, in float32.

    Args:
        model: images -> logits.
        images: (B, C, H, W) float32.
        objectives: the losses of each sample, (B, classes) -> (B, objectives).

    Yields:
        (B, C, H, W) and (B,), float32, for each objective.

    Raises:
        UserError: if the model's logits are detached from its images.
    """
    victim = as_victim(model)
    with torch.inference_mode(False), torch.enable_grad():
        inputs = (images.clone() if images.is_inference() else images).detach().requires_grad_()
        losses = objectives(_attached(victim.for_exact_gradients(inputs)))
    for number, loss in enumerate(losses.unbind(1), 1):
        with torch.inference_mode(False), torch.enable_grad():
            gradient = gradient_of(loss.sum(), inputs, keep=number < losses.shape[1])
        yield gradient.float(), loss.detach()


def gradient_of(loss: Tensor, inputs: Tensor, *, keep: bool = False) -> Tensor:
    """Return the gradient of a scalar with respect to a model's inputs.

    Args:
        loss: the scalar.
        inputs: the model's inputs.
        keep: whether another gradient of the same forward is to follow.

    Raises:
        UserError: if the model's backward fails, or the loss does not depend on the inputs.
    """
    try:
        return torch.autograd.grad(loss, inputs, retain_graph=keep)[0]
    except RuntimeError as error:
        if is_of_machine(error):
            raise
        cause = (
            f"the gradient of the model with respect to its images cannot be computed "
            f"({first_line(error)}); fix its backward"
        )
        raise GradientError(f"{cause}, or {_OTHER_ATTACK}.", cause) from error


def _attached(logits: Tensor) -> Tensor:
    """Return float32 logits that have a gradient.

    Raises:
        UserError: if they have none.
    """
    if not logits.requires_grad:
        raise GradientError(f"{NO_GRADIENT}; {_OTHER_ATTACK}.", NO_GRADIENT)
    return logits.float()


def _split(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the true class's logit (B,) and the logits with -inf in its place (B, classes)."""
    index = labels.long().unsqueeze(1)
    return logits.gather(1, index).squeeze(1), logits.scatter(1, index, -torch.inf)
