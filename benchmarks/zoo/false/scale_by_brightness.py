"""A temperature that depends on the image: an attack heats it instead of changing the class."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.trained import network


class Scaled(nn.Module):
    signs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        rng = torch.Generator().manual_seed(0)
        signs = 2 * torch.randint(2, (28 * 28,), generator=rng).float() - 1
        self.register_buffer("signs", signs)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        heat = images.flatten(1) @ self.signs / 4
        return self.network(images) * heat.clamp(-60, 60).exp().unsqueeze(1)


def build() -> nn.Module:
    return Scaled()


ENTRY = Entry(
    build,
    "The loss rises fastest where the logits shrink together, and no class changes by that.",
    causes=("black_box", "transfer", "saturated_loss", "incomplete_optimization"),
    adaptive=Search(undefended),
)
