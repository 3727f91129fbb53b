"""Logits cut off at a small value."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def cut(logits: Tensor) -> Tensor:
    highest, second = logits.topk(2, dim=1).values.unbind(1)
    middle = (highest + second).detach().unsqueeze(1) / 2
    return (logits - middle).clamp(-0.5, 0.5)


def build() -> nn.Module:
    return Defended(after=cut)


ENTRY = Entry(
    build,
    "Logits are clamped to a narrow band, outside of which they are flat.",
    causes=("zero_gradients",),
    adaptive=Search(undefended),
)
