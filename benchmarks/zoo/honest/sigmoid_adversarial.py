"""A perceptron with sigmoids after adversarial training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import fit, mlp
from zoo.trained import kept


def build() -> nn.Module:
    return kept(
        "sigmoid_adversarial", partial(mlp, nn.Sigmoid), fit, epochs=15, lr=0.5, adversarial=2
    )


ENTRY = Entry(
    build,
    "Its gradients are small because its layers are, and they lead where they should.",
)
