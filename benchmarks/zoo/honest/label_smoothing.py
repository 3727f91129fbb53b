"""A ConvNet with label smoothing."""

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("label_smoothing", convnet, fit, smoothing=0.2)


ENTRY = Entry(
    build,
    "Its margins are small, since the loss punishes larger ones; an attack needs no more for it.",
)
