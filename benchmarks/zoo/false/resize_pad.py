"""Random resizing and padding (Xie et al. 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.adaptive import eot
from zoo.entry import Entry
from zoo.parts import Defended, fit, small_network
from zoo.trained import kept


def resized(images: Tensor) -> Tensor:
    side = int(torch.randint(20, 29, ()))
    small = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    free = 28 - side
    left, top = (int(torch.randint(0, free + 1, ())) for _ in range(2))
    return functional.pad(small, (left, free - left, top, free - top))


def untrained() -> nn.Module:
    return Defended(before=resized, inside=small_network())


def build() -> nn.Module:
    return kept("false_resize_pad", untrained, fit, epochs=5)


ENTRY = Entry(
    build,
    "Each forward resizes and pads anew, so that a step fits another image than the next one.",
    causes=("same_logits", "unstable_gradient"),
    adaptive=eot(),
)
