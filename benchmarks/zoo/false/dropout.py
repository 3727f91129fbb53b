"""Dropout of pixels that stays on at inference."""

from torch import Tensor, nn
from torch.nn import functional

from zoo.adaptive import eot
from zoo.entry import Entry
from zoo.parts import Defended


def dropped(images: Tensor) -> Tensor:
    return functional.dropout(images, 0.5, training=True)


def build() -> nn.Module:
    return Defended(before=dropped)


ENTRY = Entry(
    build,
    "Each forward drops half of the pixels, and what is dropped has no gradient.",
    causes=("same_logits", "unstable_gradient"),
    adaptive=eot(),
)
