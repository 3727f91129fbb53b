"""A table of fixed logits, by rank, with a smooth slope that leads nowhere."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.trained import network


class Ranks(nn.Module):
    directions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("directions", torch.randn(28 * 28, 10, generator=rng))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        ranks = self.network(images.detach()).argsort(1).argsort(1).float()
        return ranks + 0.4 * (images.flatten(1) @ self.directions / 28).tanh()


def build() -> nn.Module:
    return Ranks()


ENTRY = Entry(
    build,
    "The order of the classes is looked up; the loss rises along a slope that never changes it.",
    causes=("black_box", "rough_logits", "wrong_gradient", "zero_gradients"),
    adaptive=Search(undefended),
)
