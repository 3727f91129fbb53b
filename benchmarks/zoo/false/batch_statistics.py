"""A temperature that is a statistic of the batch, also in eval mode."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.trained import network


class BatchScaled(nn.Module):
    signs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = network("standard")
        rng = torch.Generator().manual_seed(0)
        signs = 2 * torch.randint(2, (28 * 28,), generator=rng).float() - 1
        self.register_buffer("signs", signs)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        statistic = (images.flatten(1) @ self.signs).mean()
        return self.network(images) * (statistic / 4).clamp(-60, 60).exp()


def build() -> nn.Module:
    return BatchScaled()


ENTRY = Entry(
    build,
    "All images of a batch share a temperature, which an attack heats instead of changing classes.",
    causes=("batch_dependence", "any_batch"),
    adaptive=Search(undefended),
)
