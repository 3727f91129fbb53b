"""The sentence that says when the training of a GAN diverged, as it is stored and published."""

import re

_SENTENCE = "a loss is not finite by step {}"


def divergence_by(step: int) -> str:
    """Return the sentence for a loss that is not finite at a step, counted from 1."""
    return _SENTENCE.format(step)


def diverged_by(sentence: str) -> int | None:
    """Return the step of such a sentence; None for any other text."""
    found = re.fullmatch(_SENTENCE.format("([1-9][0-9]{0,8})"), sentence)
    return int(found[1]) if found else None
