"""The sentence that says when a training diverged, as it is stored and published."""

import re

_SENTENCE = "the loss is not finite after epoch {}"


def divergence_after(epoch: int) -> str:
    """Return the sentence for a loss that is not finite after an epoch, counted from 1."""
    return _SENTENCE.format(epoch)


def epoch_of(sentence: str) -> int | None:
    """Return the epoch of such a sentence; None for any other text."""
    found = re.fullmatch(_SENTENCE.format("([1-9][0-9]{0,8})"), sentence)
    return int(found[1]) if found else None
