"""The gradients of another network."""

import torch
from torch import Tensor, nn

from zoo.adaptive import transfer
from zoo.entry import Entry
from zoo.parts import small_network, with_gradient_of
from zoo.trained import network


class Decoy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.decoy = small_network()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return with_gradient_of(self.network(images), self.decoy(images))


def build() -> nn.Module:
    return Decoy()


ENTRY = Entry(
    build,
    "The backward is that of a network that was never trained.",
    causes=("wrong_gradient",),
    adaptive=transfer("standard"),
)
