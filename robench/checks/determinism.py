"""The distance between two outputs of one network, and whether it is random."""

import torch
from torch import Tensor

from robench.checks.context import CheckContext

ROUNDING = 1e-5
"""How much logits may differ between two forwards, relative to their spread: rounding only."""


def distance(one: Tensor, other: Tensor) -> float:
    """Return the distance between two (n, classes) tensors, relative to the spread of the first.

    Identical NaNs and infinities have distance 0; differing ones are infinitely far apart.
    """
    if torch.equal(one.nan_to_num(), other.nan_to_num()):
        return 0.0
    spread = (one - one.mean(1, keepdim=True)).norm().item()
    apart = (one - other).norm().item()
    ratio = apart / spread if spread > 0 else float("inf")
    return ratio if ratio == ratio else float("inf")


def is_random(context: CheckContext) -> bool:
    """Return whether two forwards of the same images differ by more than rounding."""
    return context.once(_is_random)


def _is_random(context: CheckContext) -> bool:
    one, other = context.answers([context.images, context.images])
    return distance(one, other) > ROUNDING
