"""A perceptron with ELU after standard training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import fit, mlp
from zoo.trained import kept


def build() -> nn.Module:
    return kept("elu", partial(mlp, nn.ELU), fit, epochs=8)


ENTRY = Entry(
    build,
    "Nothing protects it, and PGD shows it.",
)
