"""Three digits, told apart by a ConvNet after adversarial training."""

from functools import partial

from torch import nn

from zoo.entry import Entry
from zoo.networks import convnet, fit
from zoo.trained import kept

CLASSES = (3, 5, 8)


def build() -> nn.Module:
    return kept(
        "three_classes", partial(convnet, classes=3), fit, epochs=12, adversarial=2, classes=CLASSES
    )


ENTRY = Entry(
    build,
    "Three classes are easier to keep apart than ten.",
    classes=CLASSES,
)
