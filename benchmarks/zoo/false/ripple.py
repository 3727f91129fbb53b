"""A high-frequency ripple on the logits."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.trained import network


class Ripple(nn.Module):
    directions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("directions", torch.randn(28 * 28, 10, generator=rng))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        phase = 1000 * images.flatten(1) @ self.directions
        return self.network(images) + 0.3 * phase.sin()


def build() -> nn.Module:
    return Ripple()


ENTRY = Entry(
    build,
    "A ripple of 0.3 on the logits is so steep that gradients show nothing else.",
    causes=("rough_logits", "unstable_gradient"),
    adaptive=Search(undefended),
)
