"""Noise that is only added in eval mode."""

import torch
from torch import Tensor, nn

from zoo.adaptive import eot
from zoo.entry import Entry
from zoo.trained import network


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            images = images + 0.25 * torch.randn_like(images)
        return self.network(images)


def build() -> nn.Module:
    return Noisy()


ENTRY = Entry(
    build,
    "Each forward adds other noise, and a single gradient shows mostly the noise.",
    causes=("same_logits", "unstable_gradient"),
    adaptive=eot(),
)
