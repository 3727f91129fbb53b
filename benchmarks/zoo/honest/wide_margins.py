"""A ConvNet that was trained long after it made no more mistakes."""

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("wide_margins", convnet, fit, epochs=20, lr=0.1)


ENTRY = Entry(
    build,
    "Long training made its logits large; its loss is small, but its gradients do not vanish.",
)
