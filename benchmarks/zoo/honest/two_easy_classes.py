"""Zeros and ones, told apart by a ConvNet after standard training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept

CLASSES = (0, 1)


def build() -> nn.Module:
    return kept("two_easy_classes", partial(convnet, classes=2), fit, classes=CLASSES)


ENTRY = Entry(
    build,
    "These digits are so different that the network is robust without trying.",
    classes=CLASSES,
)
