"""Images that pass through float16."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended

SCALE = 2.0**15


def halved(images: Tensor) -> Tensor:
    # Backwards: the gradient over SCALE, in float16, times SCALE.
    return (images * SCALE).half().float() / SCALE


def build() -> nn.Module:
    return Defended(before=halved)


ENTRY = Entry(
    build,
    "The gradient of a confident image, divided by 32768, is below the smallest float16.",
    causes=("zero_gradients", "saturated_loss", "saturated_probability"),
    adaptive=Search(undefended),
)
