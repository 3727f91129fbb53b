"""A small transformer on patches of 7x7 pixels."""

import torch
from torch import Tensor, nn

from zoo.entry import Entry
from zoo.networks import fit
from zoo.trained import kept


class Transformer(nn.Module):
    """One layer of attention over 16 patches, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 32, 7, stride=7)
        self.position = nn.Parameter(0.1 * torch.randn(16, 32))
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.position
        return self.head(self.layer(tokens).mean(1))


def build() -> nn.Module:
    return kept("transformer", Transformer, fit, epochs=15, lr=0.05)


ENTRY = Entry(
    build,
    "Attention is smooth, and its gradients are those of what it computes.",
)
