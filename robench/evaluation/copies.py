"""Choose the fastest copies of a model that are the model's equal, and say why not faster ones."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, fx, nn

from robench.errors import UserError
from robench.evaluation.agreement import STEPS, Precision, Reference, near, reference
from robench.evaluation.examination import behavior_of, structure_of
from robench.evaluation.folding import folded, half_precision
from robench.evaluation.forward import PLAIN, QUANTUM, Forward
from robench.models.frozen import frozen_stats
from robench.system.devices import has_bf16
from robench.system.out_of_memory import is_out_of_memory
from robench.system.random_state import own_random_state

SAMPLES = QUANTUM // (len(STEPS) + 1)
"""Number of samples on which copies are compared with the model: one batch with their points."""


@dataclass(frozen=True, eq=False)
class Copies:
    """What stands in for a model under attack; at first, the model itself.

    Attributes:
        exact: computes predictions.
        fast: computes gradients.
        num_classes: number of logits per image.
        gradients: the precision of gradients.
        forward: how images are passed to all of them, and to the model.
        independent: whether the logits of an image are known not to depend on its batch.
        refused: for each shortcut that a model rules out, the reason: the end of a sentence about
            the model.
    """

    exact: nn.Module
    fast: nn.Module
    num_classes: int
    gradients: Precision = "float32"
    forward: Forward = PLAIN
    independent: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)

    def without(self, shortcuts: Iterable[str], reason: str) -> "Copies":
        """Return the same copies, with the reason for not taking a shortcut."""
        return replace(self, refused={**self.refused, **dict.fromkeys(sorted(shortcuts), reason)})


def choose_copies(
    model: nn.Module, samples: Tensor, shortcuts: set[str], *, batch_size: int
) -> Copies:
    """Return the fastest copies that agree with a model in its logits and input gradients.

    They are compared at real samples and at points that an attack reaches from them. A model with
    hooks or a backward of its own, that cuts its gradient, keeps a state or writes into its input
    is not copied at all.

    Args:
        model: in eval mode, its parameters frozen; what forwards change in its buffers is undone.
        samples: (B, C, H, W) in [0, 1] on its device.
        shortcuts: what may be done.
        batch_size: how many images to pass at a time.

    Raises:
        UserError: if the model does not return logits.
    """
    samples = samples[:SAMPLES]
    if not has_bf16(samples.device):
        shortcuts = shortcuts - {"bf16"}
    with (
        own_random_state(samples.device),
        frozen_stats(model),
        torch.autocast(samples.device.type, enabled=False),
    ):
        with torch.no_grad():
            logits, again = PLAIN(model, samples), PLAIN(model, samples)
        plain = Copies(model, model, num_classes=logits.shape[1])
        if reason := _unpredictable(logits, again):
            return plain.without(shortcuts, reason)
        try:
            wanted = reference(partial(PLAIN, model), samples, plain.num_classes, batch_size)
        except UserError:  # attacks without gradients may still run
            return plain.without(shortcuts, "its gradient cannot be computed")
        with torch.no_grad():
            unasked = PLAIN(model, wanted.points[:batch_size])
        if not near(unasked, wanted.logits[:batch_size], "float32"):
            return plain.without(shortcuts, "its logits differ without gradient")
        if reason := _incomparable(model, wanted):
            return plain.without(shortcuts, reason)
        copies = _laid_out(plain, wanted, shortcuts)
        repeated = None if torch.equal(logits, again) else RANDOM  # if only in the last bits
        unseen = structure_of(model) or _behavior(model, wanted)
        if reason := repeated or unseen or _blindness(wanted):
            return copies.without(shortcuts & {"folding", "bf16"}, reason)
        if "folding" in shortcuts:
            copies = _folded(copies, wanted)
        return _in_bf16(copies, wanted) if "bf16" in shortcuts else copies


def _unpredictable(logits: Tensor, again: Tensor) -> str | None:
    """Return why nothing can be compared with a model, as the end of a sentence, or None."""
    if not logits.isfinite().all():
        return "its logits are not finite"
    return None if near(again, logits, "float32") else RANDOM


RANDOM = "its logits differ from call to call"
ON_BATCH = "depend on the other images of a batch"
"""Reasons, and the end of one, for which a prediction of an image is not always the same."""


def _incomparable(model: nn.Module, wanted: Reference) -> str | None:
    """Return why no other way to pass images gives the same, as the end of a sentence, or None."""
    if not wanted.gradients.isfinite().all():
        return "its input gradients are not finite"
    for rows in ([0], [0, -1]):
        part = wanted.of(rows)
        try:
            difference = part.difference(partial(PLAIN, model), "float32")
        except Exception as error:  # a batch norm in training mode refuses a single image
            _raise_if_out_of_memory(error)
            return "it cannot take batches of every size"
        if difference:
            return f"its {difference} {ON_BATCH}"
    return None


def _laid_out(copies: Copies, wanted: Reference, shortcuts: set[str]) -> Copies:
    """Return the copies with padded batches, and with the fastest memory format that agrees."""
    on_gpu = wanted.points.device.type == "cuda"
    padded = replace(copies, forward=Forward(multiple=QUANTUM, few_sizes=on_gpu), independent=True)
    if "channels_last" not in shortcuts:
        return padded
    faster = replace(padded.forward, memory_format=torch.channels_last)
    if difference := _difference(copies.exact, faster, "float32", wanted):
        return padded.without({"channels_last"}, f"its {difference} in that memory format")
    return replace(padded, forward=faster)


def _blindness(wanted: Reference) -> str | None:
    return None if wanted.gradients.any() else "its input gradients are zero"


def _behavior(model: nn.Module, wanted: Reference) -> str | None:
    try:
        return behavior_of(model, wanted.last)
    except Exception as error:  # what cannot be examined is not copied
        _raise_if_out_of_memory(error)
        return f"it cannot be examined ({type(error).__name__})"


def _folded(copies: Copies, wanted: Reference) -> Copies:
    model, reason = _copy(folded, copies, "float32", wanted)
    if model is None:
        return copies.without({"folding"}, reason)
    if not isinstance(model, fx.GraphModule) and _has_batch_norms(model):
        copies = copies.without({"folding"}, "its forward cannot be traced: it keeps batch norms")
    return replace(copies, exact=model, fast=model)


def _has_batch_norms(model: nn.Module) -> bool:
    return any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())


def _in_bf16(copies: Copies, wanted: Reference) -> Copies:
    model, reason = _copy(half_precision, copies, "bf16", wanted)
    if model is None:
        return copies.without({"bf16"}, reason)
    return replace(copies, fast=model, gradients="bf16")


def _copy(
    make: Callable[[nn.Module], nn.Module], copies: Copies, precision: Precision, wanted: Reference
) -> tuple[nn.Module | None, str]:
    """Return a copy of the fast model, or None and what is wrong with it."""
    try:
        model = make(copies.fast).to(memory_format=copies.forward.memory_format)
    except Exception as error:  # e.g. a model that cannot be deep-copied
        _raise_if_out_of_memory(error)
        return None, f"it cannot be copied ({type(error).__name__})"
    difference = _difference(model, copies.forward, precision, wanted)
    return (None, f"its {difference} in the copy") if difference else (model, "")


def _difference(
    model: nn.Module, forward: Forward, precision: Precision, wanted: Reference
) -> str | None:
    """Return what differs, as the end of "its ...", or None."""

    def asked(images: Tensor) -> Tensor:
        with autocast(images.device, precision):
            return forward(model, images)

    try:
        difference = wanted.difference(asked, precision)
    except Exception as error:  # what does not run is not used
        _raise_if_out_of_memory(error)
        return f"forward fails with {type(error).__name__}"
    return difference and f"{difference} differ"


def _raise_if_out_of_memory(error: Exception) -> None:
    """Raise it if memory was short: that says nothing about a model, and figures depend on it."""
    if is_out_of_memory(error):
        raise error


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which gradients of a precision are computed."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
