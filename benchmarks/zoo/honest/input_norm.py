"""A ConvNet that first normalizes each image."""

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def _make() -> nn.Module:
    return nn.Sequential(nn.InstanceNorm2d(1), convnet())


def build() -> nn.Module:
    return kept("input_norm", _make, fit, adversarial=2)


ENTRY = Entry(
    build,
    "Its first layer takes out brightness and contrast, and gradients pass through it.",
)
