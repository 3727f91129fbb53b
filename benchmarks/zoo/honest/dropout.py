"""A ConvNet with dropout, which is off in eval mode."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("dropout", partial(convnet, dropout=0.5), fit)


ENTRY = Entry(
    build,
    "It draws random numbers in training alone.",
)
