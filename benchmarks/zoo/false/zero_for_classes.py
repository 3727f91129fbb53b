"""No gradient for the digits 0 to 4."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import Entry
from zoo.parts import Defended


def cut_off(logits: Tensor) -> Tensor:
    low = logits.argmax(1, keepdim=True) < 5
    return torch.where(low, logits.detach(), logits)


def build() -> nn.Module:
    return Defended(after=cut_off)


ENTRY = Entry(
    build,
    "Images that are seen as one of the digits 0 to 4 have no gradient.",
    causes=("zero_gradients_by_class", "zero_gradients"),
    adaptive=Search(undefended),
)
