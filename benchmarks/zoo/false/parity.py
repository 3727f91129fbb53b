"""The parity of the sum of all pixels chooses how the network sees the image."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search
from zoo.entry import Entry
from zoo.trained import network


class Parity(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network, self.second = network("standard"), network("standard_1")
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        odd = (255 * images.detach()).round().flatten(1).sum(1, keepdim=True) % 2 == 1
        return torch.where(odd, self.network(images), self.second(images))


def build() -> nn.Module:
    return Parity()


ENTRY = Entry(
    build,
    "Each step changes the parity of the pixels' sum, and with it the network.",
    causes=("rough_logits", "unstable_gradient"),
    adaptive=Search(lambda model: model.get_submodule("network"), every=1),
)
