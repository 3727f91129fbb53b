"""When a training has diverged, and the sentence that says so, as it is stored and published."""

import re
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class CountedSentence:
    """A sentence with one count from 1, which is read again from where it was published.

    Attributes:
        form: the sentence, with {} in the place of the count.
    """

    form: str

    def with_count(self, count: int) -> str:
        """Return the sentence with a count."""
        return self.form.format(count)

    def count_in(self, text: str) -> int | None:
        """Return the count of such a sentence; None for any other text."""
        found = re.fullmatch(self.form.format("([1-9][0-9]{0,8})"), text)
        return int(found[1]) if found else None


DIVERGED_AFTER = CountedSentence("the loss is not finite after epoch {}")
"""What a training says that diverged; the count is of epochs."""


def has_finite_weights(model: nn.Module) -> bool:
    """Return whether every parameter is finite: the last step of an epoch may have broken one.

    The losses of an epoch are those before its steps, so that they do not tell. Buffers are left
    out, since masks of -inf are in order.
    """
    finite = [parameter.detach().isfinite().all() for parameter in model.parameters()]
    return not finite or bool(torch.stack(finite).all())
