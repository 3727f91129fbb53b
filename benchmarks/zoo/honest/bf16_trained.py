"""Free adversarial training in bf16."""

from torch import nn

from zoo.entry import Entry
from zoo.trained import trained


def build() -> nn.Module:
    return trained("bf16_trained", precision="bf16", epochs=3)


ENTRY = Entry(
    build,
    "It was trained in bf16, but it is a network in float32 like any other.",
)
