"""Tests of the difference of two rows: McNemar's exact test, and a t-test over images and seeds.

A figure would be another one on other test images, and after other training runs. Where rows have
several seeds, both variances are estimated, and the difference is held against their sum.

Two or three seeds say little of how far the runs of one row vary, and Welch's test on them alone
cannot tell 80% from 10%. As in an analysis of variance, the runs of all rows are therefore pooled;
but a row whose runs vary more than that keeps its own variance, so that an unstable one does not
hide among the others. The degrees of freedom, by Satterthwaite (1946), are those of the pool, fewer
if a few rows make up most of it, and of such a row fewer, the more it exceeds the pool: in the
end those of its own seeds. As the images' many degrees of freedom could carry the sum where
seeds are close to each other by chance, the difference must also be one over the seeds alone; the
p-value is the larger of the two. ``benchmarks/significance.py`` measures how often that is wrong.

Where only few images differ, a normal or t distribution is too sure, too. Intervals and p-values
of the t-test therefore have two made-up images in them, one that only the first row classifies
correctly and one that only the second does (Agresti and Min 2005; Bonett and Price 2012); rows on
different images get one correct and one wrong image each (Agresti and Caffo 2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, t

LEVEL = 0.05
"""Differences with a corrected p-value below it are called distinguishable."""

MCNEMAR, T_TEST = "McNemar", "t-test"
"""Names of the tests, as ``comparisons.csv`` has them."""

TESTS = {
    MCNEMAR: "McNemar’s exact test",  # noqa: RUF001
    T_TEST: "a t-test over images and seeds",
}
"""The same in sentences."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spread:
    """Variances of estimates, each with its degrees of freedom; 0 and 0 if there is none."""

    variance: Floats
    freedom: Floats

    def __add__(self, other: "Spread") -> "Spread":
        """Return the variance of a sum of independent estimates, with Satterthwaite's freedom."""
        variance = self.variance + other.variance
        shares = [part.variance / np.maximum(variance, _LEAST) for part in (self, other)]
        inverse = shares[0] ** 2 / np.maximum(self.freedom, 1)
        inverse += shares[1] ** 2 / np.maximum(other.freedom, 1)
        return Spread(variance, np.where(inverse > 0, 1 / np.maximum(inverse, _LEAST), 0.0))

    def __getitem__(self, index: NDArray[np.intp]) -> "Spread":
        return Spread(self.variance[index], self.freedom[index])


@dataclass(frozen=True, eq=False)
class Tested:
    """Differences with their 95% intervals, ``low`` to ``high``, and two-sided p-values."""

    low: Floats
    high: Floats
    p: Floats


_LEAST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class Runs:
    """Variances of the rows' mean accuracies over training runs, in two parts.

    Attributes:
        pooled: that of the runs of all rows.
        own: by how much that of the row's own runs is larger.
    """

    pooled: Spread
    own: Spread

    def of_pairs(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> Spread:
        """Return the variance of differences of rows: both parts of the pool are of one estimate.

        The rest are estimates of their own, of as few degrees of freedom as the row has seeds.
        """
        one, other = self.pooled[first], self.pooled[second]
        freedom = np.maximum(one.freedom, other.freedom)
        own = self.own[first] + self.own[second]
        return Spread(one.variance + other.variance, freedom) + own


def over_seeds(
    accuracies: Sequence[Floats], unit: float, runs: NDArray[np.bool_] | None = None
) -> Runs:
    """Return the variance of each row's mean accuracy over training runs.

    It is that of the row's own seeds or the mean over all rows, whichever is larger. Neither a
    single seed nor seeds with equal accuracies count in the mean: a network that has collapsed does
    not show how runs vary.

    Args:
        accuracies: row -> (seeds,), the accuracy of each.
        unit: the smallest possible difference of two accuracies. Seeds are taken as at least so
            far apart, since it is only counts that are equal.
        runs: which rows stand for training runs in general; the others are single networks, which
            have no variance. By default those with several seeds.
    """
    seeds = np.array([len(a) for a in accuracies], dtype=float)
    # Compared by their range: the variance of equal figures may differ from 0 in its last bits.
    counted = np.array([np.ptp(a) > unit / 2 for a in accuracies], dtype=bool)
    own = np.array([a.var(ddof=1) if len(a) > 1 else 0.0 for a in accuracies], dtype=float)
    several, least = seeds > 1 if runs is None else runs, unit**2 / 2
    freedom, known = (seeds - 1)[counted], own[counted]
    if counted.any():
        pooled = max((freedom * known).sum() / freedom.sum(), least)
        # The expected square of a variance with f degrees of freedom is (f + 2) / f times that of
        # the true one, which makes the quotient of the sums too large by two.
        squares = (freedom**2 / (freedom + 2) * known**2).sum()
        estimate = (freedom * known).sum() ** 2 / squares - 2
        of_pool = min(max(estimate, freedom.min()), freedom.sum())
    else:
        pooled, of_pool = least, max(seeds.max(initial=1) - 1, 1)
    beyond = np.where(several, np.maximum(own - pooled, 0), 0)
    return Runs(
        Spread(np.where(several, pooled, 0) / seeds, np.where(several, of_pool, 0)),
        Spread(beyond / seeds, np.where(beyond > 0, seeds - 1, 0)),
    )


def over_images(
    total: Floats, squares: Floats, images: int | NDArray[np.int64], added: float
) -> tuple[Floats, Spread]:
    """Return means over images and their variance, with two made-up images in them.

    Args:
        total: sum over the images.
        squares: sum of the squares.
        images: their number.
        added: sum of the two made-up images; the sum of their squares is ``2 - added``: 1 and -1
            for differences, 1 and 0 for accuracies.
    """
    count = images + 2
    mean = (total + added) / count
    variance = np.maximum(squares + 2 - added - count * mean**2, 0) / (count - 1)
    return mean, Spread(variance / count, np.zeros(mean.shape) + count - 1)


def t_test(difference: Floats, adjusted: Floats, images: Spread, seeds: Spread) -> Tested:
    """Test whether differences are zero, over images and seeds together and over seeds alone.

    Args:
        difference: the differences of mean accuracies.
        adjusted: the same with the made-up images of :func:`over_images`.
        images: their variance over images.
        seeds: their variance over training runs; of 0 degrees of freedom if no row has several.
    """
    both = _tested(adjusted, images + seeds)
    several = seeds.freedom > 0
    alone = _tested(difference, Spread(seeds.variance, np.where(several, seeds.freedom, 1)))
    return Tested(
        np.clip(np.where(several, np.minimum(both.low, alone.low), both.low), -1, 1),
        np.clip(np.where(several, np.maximum(both.high, alone.high), both.high), -1, 1),
        np.where(several, np.maximum(both.p, alone.p), both.p),
    )


def mcnemar(won: Floats, lost: Floats) -> Floats:
    """Return exact two-sided p-values; the null hypothesis: wins and losses are equally likely."""
    few, all_of_them = np.rint(np.minimum(won, lost)), np.rint(won + lost)
    return np.minimum(1.0, 2 * binom.cdf(few, all_of_them, 0.5))


def _tested(difference: Floats, spread: Spread) -> Tested:
    error = np.sqrt(spread.variance)
    margin = t.isf(LEVEL / 2, spread.freedom) * error
    p = 2 * t.sf(np.abs(difference) / np.maximum(error, _LEAST), spread.freedom)
    return Tested(difference - margin, difference + margin, p)
