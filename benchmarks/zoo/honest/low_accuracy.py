"""A ConvNet that was trained for a few steps at a small learning rate."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("low_accuracy", partial(convnet, width=4), fit, epochs=1, lr=0.01)


ENTRY = Entry(
    build,
    "It has learned little, and whatever it is right about can be attacked.",
)
