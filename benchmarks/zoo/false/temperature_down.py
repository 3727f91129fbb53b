"""Logits so small that gradients underflow."""

from torch import nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def build() -> nn.Module:
    # 1000 alone would only scale the gradients, of which PGD takes the signs.
    return Defended(after=lambda logits: logits / 1000 * 1e-40)


ENTRY = Entry(
    build,
    "Logits of 1e-43 still have an order, but their gradients are below the smallest float32.",
    causes=("zero_gradients", "saturated_loss"),
    adaptive=Search(undefended),
)
