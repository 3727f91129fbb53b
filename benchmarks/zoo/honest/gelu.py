"""A ConvNet with GELU after adversarial training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("gelu", partial(convnet, nn.GELU), fit, adversarial=2)


ENTRY = Entry(
    build,
    "Its loss is smooth, and its gradients are not small.",
)
