"""Probabilities instead of logits."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended

SHARPNESS = 30


def probabilities(logits: Tensor) -> Tensor:
    return (SHARPNESS * logits).softmax(1)


def build() -> nn.Module:
    return Defended(after=probabilities)


ENTRY = Entry(
    build,
    "Probabilities of a confident network are 1 and 0 in float32, where the softmax is flat.",
    causes=("probability_outputs", "saturated_probability", "zero_gradients"),
    adaptive=Search(undefended),
)
