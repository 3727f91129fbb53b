"""Exact significance tests on paired samples, never a bare inequality.

An attack that ends at its last iterate, from one random start, loses a few samples that its next
run would win. What counts is whether more samples are lost than won.
"""

from dataclasses import dataclass

from scipy.stats import binomtest

from robench.evaluation import Outcomes

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
    one, other = strong.robust[:count], weak.robust[:count]
    both = strong.correct[:count] & weak.correct[:count]
    only_strong, only_weak = int((both & ~one & other).sum()), int((both & one & ~other).sum())
    p = at_least(only_weak, only_strong + only_weak, 0.5)
    return Paired(count, float(one.mean()), float(other.mean()), only_strong, only_weak, p)


def at_least(hits: int, trials: int, share: float) -> float:
    """Return the probability of at least ``hits`` hits, each of probability ``share``."""
    return float(binomtest(hits, trials, share, alternative="greater").pvalue) if trials else 1.0


def at_most(hits: int, trials: int, share: float) -> float:
    """Return the probability of at most ``hits`` hits, each of probability ``share``."""
    return float(binomtest(hits, trials, share, alternative="less").pvalue) if trials else 1.0
