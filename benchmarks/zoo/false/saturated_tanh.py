"""A tanh that saturates on the logits."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def squashed(logits: Tensor) -> Tensor:
    highest, second = logits.topk(2, dim=1).values.unbind(1)
    middle = (highest + second).unsqueeze(1) / 2
    return 10 * (8 * (logits - middle)).tanh()


def build() -> nn.Module:
    return Defended(after=squashed)


ENTRY = Entry(
    build,
    "All logits are 10 or -10, where the tanh is flat in float32.",
    causes=("zero_gradients",),
    adaptive=Search(undefended),
)
