"""Logits times 1000: the cross-entropy saturates."""

from torch import nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def build() -> nn.Module:
    return Defended(after=lambda logits: 1000 * logits)


ENTRY = Entry(
    build,
    "The cross-entropy of logits times 1000 is 0 in float32, and so is its gradient.",
    causes=("saturated_loss", "saturated_probability"),
    adaptive=Search(undefended),
)
