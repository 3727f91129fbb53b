"""Standard training."""

from torch import nn

from zoo.entry import Entry
from zoo.trained import network


def build() -> nn.Module:
    return network("standard")


ENTRY = Entry(
    build,
    "It is not robust, and PGD shows it.",
)
