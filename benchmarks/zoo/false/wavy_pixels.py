"""Waves on the curve of each pixel, on which an attack gets stuck."""

import math

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended

PERIOD, HEIGHT = 0.04, 0.02


def wavy(images: Tensor) -> Tensor:
    return images + HEIGHT * (2 * math.pi / PERIOD * images).sin()


def build() -> nn.Module:
    return Defended(before=wavy)


ENTRY = Entry(
    build,
    "Each pixel's slope changes its sign every 0.02, so that no pixel gets past the next wave.",
    causes=("unstable_gradient", "rough_logits", "incomplete_optimization"),
    adaptive=Search(undefended),
)
