"""Logits times 1000, as guarded log-probabilities."""

from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def hot(logits: Tensor) -> Tensor:
    # PGD of robench falls back to the margin where plain logits times 1000 saturate the loss.
    return ((1000 * logits).softmax(1) + 1e-30).log()


def build() -> nn.Module:
    return Defended(after=hot)


ENTRY = Entry(
    build,
    "Logits times 1000 have probabilities of 1 and 0 in float32, where the softmax is flat.",
    causes=("saturated_loss", "saturated_probability", "zero_gradients"),
    adaptive=Search(undefended),
)
