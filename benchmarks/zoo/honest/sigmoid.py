"""A perceptron with sigmoids, whose gradients shrink from layer to layer."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import fit, mlp
from zoo.trained import kept


def build() -> nn.Module:
    return kept("sigmoid", partial(mlp, nn.Sigmoid), fit, epochs=15, lr=0.5)


ENTRY = Entry(
    build,
    "Sigmoids make gradients small, but not zero.",
)
