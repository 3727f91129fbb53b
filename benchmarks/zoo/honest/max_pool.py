"""A ConvNet whose only nonlinearity is max pooling."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("max_pool", partial(convnet, nn.Identity), fit)


ENTRY = Entry(
    build,
    "Most pixels get no gradient from a maximum, but every image has some that do.",
)
