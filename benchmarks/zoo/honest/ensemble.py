"""Three networks, whose logits are averaged."""

import torch
from torch import Tensor, nn

from zoo.entry import Entry
from zoo.trained import network


class Ensemble(nn.Module):
    """The mean of the logits of three networks after standard training."""

    def __init__(self) -> None:
        super().__init__()
        names = ("standard", "standard_1", "standard_2")
        self.networks = nn.ModuleList(network(name) for name in names)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([network(images) for network in self.networks]).mean(0)


def build() -> nn.Module:
    return Ensemble().eval()


ENTRY = Entry(
    build,
    "An average of logits has the average of their gradients.",
)
