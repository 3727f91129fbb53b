"""When a training has diverged, and the sentence that says so, as it is stored and published."""

import re

import torch
from torch import nn

_SENTENCE = "the loss is not finite after epoch {}"


def has_finite_weights(model: nn.Module) -> bool:
    """Return whether every parameter is finite: the last step of an epoch may have broken one.

    The losses of an epoch are those before its steps, so that they do not tell. Buffers are left
    out, since masks of -inf are in order.
    """
    finite = [parameter.detach().isfinite().all() for parameter in model.parameters()]
    return not finite or bool(torch.stack(finite).all())


def divergence_after(epoch: int) -> str:
    """Return the sentence for a loss that is not finite after an epoch, counted from 1."""
    return _SENTENCE.format(epoch)


def epoch_of(sentence: str) -> int | None:
    """Return the epoch of such a sentence; None for any other text."""
    found = re.fullmatch(_SENTENCE.format("([1-9][0-9]{0,8})"), sentence)
    return int(found[1]) if found else None
