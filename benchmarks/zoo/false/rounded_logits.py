"""Integer logits."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def rounded(logits: Tensor) -> Tensor:
    return (20 * logits).round()


def build() -> nn.Module:
    return Defended(after=rounded)


ENTRY = Entry(
    build,
    "Integers have a gradient of zero.",
    causes=("zero_gradients",),
    adaptive=Search(undefended),
)
