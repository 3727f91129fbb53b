"""A perceptron with LayerNorm after adversarial training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import fit, mlp
from zoo.trained import kept


def build() -> nn.Module:
    return kept(
        "layer_norm", partial(mlp, nn.ReLU, norm=nn.LayerNorm), fit, epochs=8, adversarial=2
    )


ENTRY = Entry(
    build,
    "What is normalized is differentiated as well.",
)
