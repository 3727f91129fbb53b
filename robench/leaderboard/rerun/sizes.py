"""Compare the sizes of perturbations, and what they cost, in two evaluations of a network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from robench.evaluation import Outcomes
from robench.evaluation.outcomes import relative_difference

LOPSIDED = 1e-6
"""P-value of a two-sided sign test below which lengths of perturbations were not changed by
rounding, which makes as many longer as shorter: a few steps of another size do."""

SIZES = ("linf", "l2")
"""The sizes of a perturbation; all else in outcomes is a prediction or a count."""


def shift(published: Outcomes, found: Outcomes, sized: NDArray[np.bool_]) -> float:
    """Return the median relative difference of the sizes that differ; 0 if there are none."""
    if not sized.any():
        return 0.0
    both = [
        relative_difference(getattr(published, n)[sized], getattr(found, n)[sized]) for n in SIZES
    ]
    return float(np.median(np.maximum(*both)))


def is_lopsided(published: NDArray[Any], found: NDArray[Any]) -> bool:
    """Return whether lengths or counts differ in one direction more than by rounding."""
    longer, shorter = int((published > found).sum()), int((published < found).sum())
    if longer + shorter == 0:
        return False
    return float(binomtest(longer, longer + shorter).pvalue) < LOPSIDED


def is_skewed(published: Outcomes, found: Outcomes, same: NDArray[np.bool_]) -> bool:
    """Return whether what figures are made of, beside predictions, differs in one direction.

    On another device an attack that asks for predictions may take other steps, and needs more
    queries on some images and fewer on others; a rounded image may be right in either.

    Args:
        published: the outcomes as published.
        found: those that were found.
        same: the images whose prediction is the same in both, (n,) bool.
    """
    asked = same & (published.backwards == 0)
    return is_lopsided(published.queries[asked], found.queries[asked]) or is_lopsided(
        published.rounded[same].astype(np.int8), found.rounded[same].astype(np.int8)
    )
