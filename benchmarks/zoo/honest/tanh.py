"""A ConvNet with tanh, which does not saturate at these weights."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("tanh", partial(convnet, nn.Tanh), fit)


ENTRY = Entry(
    build,
    "Its activations are bounded, but in the steep part of their range.",
)
