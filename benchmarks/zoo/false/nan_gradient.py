"""A gradient that is not a number."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def safe(images: Tensor) -> Tensor:
    # The square root of 0 has an infinite slope, and 0 times infinity is not a number.
    return images + 0 * (images - images.detach()).abs().sqrt()


def build() -> nn.Module:
    return Defended(before=safe)


ENTRY = Entry(
    build,
    "The gradient of each pixel is not a number, so that an attack takes no step.",
    causes=("finite_gradients",),
    adaptive=Search(undefended),
)
