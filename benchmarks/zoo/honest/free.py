"""Free adversarial training in the ball that the zoo is attacked in."""

from torch import nn

from zoo.entry import Entry
from zoo.trained import network


def build() -> nn.Module:
    return network("free")


ENTRY = Entry(
    build,
    "It is as robust as it looks.",
)
