"""Noise on the gradient, none on the logits."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended, with_gradient_of


def noisy(images: Tensor) -> Tensor:
    # The noise multiplies, so that it drowns the gradient whatever its size.
    return with_gradient_of(images, images * 100 * torch.randn_like(images))


def build() -> nn.Module:
    return Defended(before=noisy)


ENTRY = Entry(
    build,
    "The logits are exact, but each pixel's gradient has a random sign.",
    causes=("wrong_gradient", "unstable_gradient", "loss_rises"),
    adaptive=Search(undefended),
)
