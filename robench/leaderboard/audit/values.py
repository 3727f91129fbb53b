"""What the values of one file of outcomes must satisfy by themselves, whatever the attack."""

from collections.abc import Iterator

import numpy as np

from robench.evaluation.outcomes import Bools, Outcomes
from robench.evaluation.validation import TOLERANCE

COSTS = ("queries", "forwards", "backwards")
SIZES = ("linf", "l2")

LARGEST_COUNT = 10**12
"""No attack asks a model this often for one image; sums of smaller counts fit into 64 bits."""


def value_problems(found: Outcomes, corrupts: bool = False) -> Iterator[str]:
    """Yield what is impossible in outcomes, one sentence each.

    Args:
        found: outcomes as loaded: types and shapes have been checked.
        corrupts: whether they are of a corruption, which clean mistakes get, too.
    """
    for name in SIZES:
        values = getattr(found, name)
        if not (np.isfinite(values).all() and (values >= 0).all()):
            yield f"'{name}' has values that are not lengths."
    for name in COSTS:
        values = getattr(found, name)
        if (values < 0).any():
            yield f"'{name}' has counts below 0."
        if (values > LARGEST_COUNT).any():
            yield f"'{name}' has counts above {LARGEST_COUNT}."
    if not corrupts:
        yield from _of_spared(found, ~found.correct)
    if (found.robust & ~found.rounded).any():
        yield "images are counted as robust but not as right when rounded."
    # The largest change of a pixel is one of the squares that the Euclidean length sums.
    if (found.linf > found.l2.astype(np.float64) * (1 + TOLERANCE)).any():
        yield "a change is longer in linf than in l2."
    if (found.linf > 1 + 2 * TOLERANCE).any():
        yield "a pixel in [0, 1] is changed by more than 1."


def _of_spared(found: Outcomes, spared: Bools) -> Iterator[str]:
    """Yield what is impossible for clean mistakes, which attacks do not get."""
    if found.robust[spared].any():
        yield "images that are misclassified when clean are counted as robust."
    if found.rounded[spared].any():
        yield "images that are misclassified when clean are counted as right when rounded."
    if any(getattr(found, name)[spared].any() for name in (*COSTS, *SIZES)):
        yield "images that are misclassified when clean were not attacked, but have costs or sizes."
