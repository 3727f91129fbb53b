"""A ConvNet that returns log-probabilities, as many examples do."""

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def _make() -> nn.Module:
    return nn.Sequential(*convnet(), nn.LogSoftmax(dim=1))


def build() -> nn.Module:
    return kept("log_softmax", _make, fit)


ENTRY = Entry(
    build,
    "The cross-entropy of log-probabilities is that of the logits.",
)
