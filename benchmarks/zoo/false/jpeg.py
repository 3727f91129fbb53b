"""JPEG-like: the coefficients of a cosine transform of 4x4 blocks are rounded."""

import math

import torch
from torch import Tensor, nn

from zoo.adaptive import bpda
from zoo.entry import Entry
from zoo.parts import Defended

SIDE = 4
"""The images, 28 pixels wide, are 7x7 blocks of this side."""
QUANTUM = 0.15


def _basis() -> Tensor:
    """Return the orthonormal cosine transform of type II, (SIDE, SIDE)."""
    place = torch.arange(SIDE)
    waves = torch.cos(math.pi / SIDE * (place + 0.5) * place[:, None])
    return waves * torch.where(place == 0, 1 / SIDE, 2 / SIDE).sqrt()[:, None]


def compressed(images: Tensor) -> Tensor:
    basis = _basis().to(images.device)
    blocks = images.unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE)
    coefficients = basis @ blocks @ basis.T
    rounded = (coefficients / QUANTUM).round() * QUANTUM
    restored = (basis.T @ rounded @ basis).clamp(0, 1)
    return restored.transpose(3, 4).reshape(images.shape)


def build() -> nn.Module:
    return Defended(before=compressed)


ENTRY = Entry(
    build,
    "Rounding the coefficients of 4x4 blocks has a gradient of zero.",
    causes=("zero_gradients",),
    adaptive=bpda(),
)
