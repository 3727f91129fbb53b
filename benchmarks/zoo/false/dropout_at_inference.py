"""Dropout of pixels that stays on at inference."""

from torch import Tensor, nn
from torch.nn import functional

from zoo.adaptive import eot
from zoo.entry import Entry
from zoo.parts import Defended, fit, small_network
from zoo.trained import kept


def dropped(images: Tensor) -> Tensor:
    return functional.dropout(images, 0.5, training=True)


def untrained() -> nn.Module:
    return Defended(before=dropped, inside=small_network())


def build() -> nn.Module:
    return kept("false_dropout_at_inference", untrained, fit, epochs=5)


ENTRY = Entry(
    build,
    "Each forward drops half of the pixels, and what is dropped has no gradient.",
    causes=("same_logits", "unstable_gradient"),
    adaptive=eot(),
)
