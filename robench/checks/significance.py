"""Exact significance tests on paired samples, never a bare inequality.

An attack that ends at its last iterate, from one random start, loses a few samples that its next
run would win. What counts is whether more samples are lost than won.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from robench.evaluation import Outcomes
from robench.evaluation.outcomes import Bools

LEVEL = 0.01
"""A check fails if the p-value of its test is below this level."""


@dataclass(frozen=True)
class Paired:
    """The comparison of an attack that should not be weaker with another, on the same samples.

    Attributes:
        samples: number of samples that both attacks were run on.
        strong: accuracy under the attack that should not be weaker.
        weak: accuracy under the other attack.
        only_strong: number of samples that only the first attack fooled.
        only_weak: number of samples that only the other attack fooled.
        p: p-value of the one-sided exact sign test (McNemar's) that the first is not weaker.
    """

    samples: int
    strong: float
    weak: float
    only_strong: int
    only_weak: int
    p: float


def paired(strong: Outcomes, weak: Outcomes) -> Paired:
    """Compare two attacks on the samples that both were run on."""
    count = min(len(strong), len(weak))
    both = strong.correct[:count] & weak.correct[:count]
    return compared(strong.robust[:count], weak.robust[:count], both)


def compared(strong: Bools, weak: Bools, among: Bools | None = None) -> Paired:
    """Compare two attacks by the images that they leave right, (n,) bool each.

    Args:
        strong: those that the attack leaves that should not be weaker.
        weak: those that the other leaves.
        among: the images that count as fooled by either alone; all of them by default.
    """
    both = np.ones(len(strong), dtype=np.bool_) if among is None else among
    only_strong = int((both & ~strong & weak).sum())
    only_weak = int((both & strong & ~weak).sum())
    p = at_least(only_weak, only_strong + only_weak, 0.5)
    means = float(strong.mean()), float(weak.mean())
    return Paired(len(strong), *means, only_strong, only_weak, p)


def at_least(hits: int, trials: int, share: float) -> float:
    """Return the probability of at least ``hits`` hits, each of probability ``share``."""
    return float(binomtest(hits, trials, share, alternative="greater").pvalue) if trials else 1.0


def at_most(hits: int, trials: int, share: float) -> float:
    """Return the probability of at most ``hits`` hits, each of probability ``share``."""
    return float(binomtest(hits, trials, share, alternative="less").pvalue) if trials else 1.0
