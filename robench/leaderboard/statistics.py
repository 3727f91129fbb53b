"""Confidence intervals and standard deviations of accuracies, by SciPy."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest


@dataclass(frozen=True)
class Estimate:
    """An accuracy over seeds.

    Attributes:
        mean: mean over the seeds, in [0, 1].
        std: sample standard deviation over the seeds; nan for one seed.
        low: lower end of the 95% Wilson interval.
        high: upper end.
    """

    mean: float
    std: float
    low: float
    high: float


def estimate(accuracies: Sequence[float], samples: int) -> Estimate:
    """Summarize one accuracy per seed, each over the same ``samples`` images.

    The interval is Wilson's for the mean accuracy on ``samples`` images. The seeds see the same
    images, so they do not count as additional samples: the interval says where the accuracy of
    these networks on unlimited images lies, and ``std`` how far another seed could move it.
    """
    mean = statistics.fmean(accuracies)
    std = statistics.stdev(accuracies) if len(accuracies) > 1 else math.nan
    if math.isnan(mean):
        return Estimate(mean, std, math.nan, math.nan)
    interval = binomtest(round(mean * samples), samples).proportion_ci(0.95, method="wilson")
    return Estimate(mean, std, float(interval.low), float(interval.high))
