"""How far two outputs of one network are apart."""

import torch
from torch import Tensor

ROUNDING = 1e-5
"""How far logits may move between two forwards, relative to their spread: rounding only."""


def distance(one: Tensor, other: Tensor) -> float:
    """Return how far two (n, classes) are apart, relative to the spread of the first.

    The same NaNs and infinities are no distance; others are infinitely far.
    """
    if torch.equal(one.nan_to_num(), other.nan_to_num()):
        return 0.0
    spread = (one - one.mean(1, keepdim=True)).norm().item()
    apart = (one - other).norm().item()
    ratio = apart / spread if spread > 0 else float("inf")
    return ratio if ratio == ratio else float("inf")
