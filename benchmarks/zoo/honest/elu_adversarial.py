"""A perceptron with ELU after adversarial training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import fit, mlp
from zoo.trained import kept


def build() -> nn.Module:
    return kept("elu_adversarial", partial(mlp, nn.ELU), fit, epochs=10, adversarial=2)


ENTRY = Entry(
    build,
    "It is as robust as adversarial training makes a smooth perceptron.",
)
