"""A linear layer on random convolutions that were never trained."""

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def _make() -> nn.Module:
    network = convnet()
    for layer in (network[0], network[3]):
        layer.requires_grad_(False)
    return network


def build() -> nn.Module:
    return kept("random_features", _make, fit, lr=0.1)


ENTRY = Entry(
    build,
    "Its first layers are random weights, but the same ones in each forward.",
)
