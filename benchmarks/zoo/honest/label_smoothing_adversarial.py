"""A ConvNet with label smoothing after adversarial training."""

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("label_smoothing_adversarial", convnet, fit, smoothing=0.2, adversarial=2)


ENTRY = Entry(
    build,
    "Adversarial training makes it robust; the smoothed labels only keep its logits small.",
)
