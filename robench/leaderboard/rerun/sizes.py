"""Compare the sizes of perturbations in two evaluations of a network."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from robench.evaluation import Outcomes

LOPSIDED = 1e-6
"""P-value of a two-sided sign test below which lengths of perturbations were not changed by
rounding, which makes as many longer as shorter: a few steps of another size do."""

SIZES = ("linf", "l2")
"""The sizes of a perturbation; all else in outcomes is a prediction or a count."""


def shift(published: Outcomes, found: Outcomes, sized: NDArray[np.bool_]) -> float:
    """Return the median relative difference of the sizes that differ; 0 if there are none."""
    if not sized.any():
        return 0.0
    both = [relative(getattr(published, n)[sized], getattr(found, n)[sized]) for n in SIZES]
    return float(np.median(np.maximum(*both)))


def is_lopsided(published: NDArray[np.float32], found: NDArray[np.float32]) -> bool:
    """Return whether lengths differ in one direction more often than rounding explains."""
    longer, shorter = int((published > found).sum()), int((published < found).sum())
    if longer + shorter == 0:
        return False
    return float(binomtest(longer, longer + shorter).pvalue) < LOPSIDED


def relative(published: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the difference of each two sizes, relative to the larger one."""
    largest = np.maximum(np.maximum(published, found), np.finfo(np.float32).tiny)
    return np.abs(published - found) / largest
