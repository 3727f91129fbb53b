"""Free adversarial training in a ball of twice the radius."""

from torch import nn

from zoo.entry import Entry
from zoo.trained import trained


def build() -> nn.Module:
    return trained("larger_eps", eps=0.2, step_size=0.2, epochs=5)


ENTRY = Entry(
    build,
    "It is robust in a larger ball than the one that it is attacked in.",
)
