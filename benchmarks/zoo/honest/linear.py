"""A linear model."""

from torch import nn

from zoo.entry import Entry
from zoo.networks import fit
from zoo.trained import kept


def _make() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))


def build() -> nn.Module:
    return kept("linear", _make, fit, epochs=5, lr=0.02)


ENTRY = Entry(
    build,
    "Its gradient is the same everywhere, and one step of FGSM is close to the strongest attack.",
)
