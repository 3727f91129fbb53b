"""A ConvNet with GroupNorm after adversarial training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept


def build() -> nn.Module:
    return kept("group_norm", partial(convnet, norm=partial(nn.GroupNorm, 4)), fit, adversarial=2)


ENTRY = Entry(
    build,
    "Its statistics are those of the image itself, and gradients pass through them.",
)
