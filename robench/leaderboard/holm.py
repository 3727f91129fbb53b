"""Holm's correction for several tests.

It is written here because statsmodels' ``multipletests`` runs Python's garbage collector at each
call, which took nine tenths of the time of comparing four rows. The figures are the same.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values corrected by Holm's method (1979), (n,), in the order given."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected
