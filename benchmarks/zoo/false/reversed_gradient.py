"""A backward with the wrong sign."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended, with_gradient_of


def reversed_images(images: Tensor) -> Tensor:
    return with_gradient_of(images, -images)


def build() -> nn.Module:
    return Defended(before=reversed_images)


ENTRY = Entry(
    build,
    "The backward returns the negative of the gradient, so that attacks descend.",
    causes=("wrong_gradient", "loss_rises"),
    adaptive=Search(undefended),
)
