"""Beyond chance or not: exact tests on the same samples, never a bare inequality.

An attack that ends at its last iterate, from one random start, loses a few samples that its next
run would win. What counts is whether more are lost than won.
"""

from dataclasses import dataclass

from scipy.stats import binomtest

from robench.evaluation import Outcomes

LEVEL = 0.01
"""A check fails where chance alone does as much less often than this."""


@dataclass(frozen=True)
class Paired:
    """An attack that should not be the weaker one, against another on the same samples.

    Attributes:
        samples: how many both were given.
        strong: accuracy that the one that should not be weaker leaves.
        weak: accuracy that the other leaves.
        only_strong: samples that only the first fooled.
        only_weak: samples that only the other fooled.
        p: of the one-sided exact sign test (McNemar's) that the first is not weaker.
    """

    samples: int
    strong: float
    weak: float
    only_strong: int
    only_weak: int
    p: float


def paired(strong: Outcomes, weak: Outcomes) -> Paired:
    """Compare two attacks on the samples that both were given."""
    count = min(len(strong), len(weak))
    one, other = strong.robust[:count], weak.robust[:count]
    both = strong.correct[:count] & weak.correct[:count]
    only_strong, only_weak = int((both & ~one & other).sum()), int((both & one & ~other).sum())
    p = at_least(only_weak, only_strong + only_weak, 0.5)
    return Paired(count, float(one.mean()), float(other.mean()), only_strong, only_weak, p)


def at_least(hits: int, trials: int, share: float) -> float:
    """Return the chance of so many hits or more, each of probability ``share``."""
    return float(binomtest(hits, trials, share, alternative="greater").pvalue) if trials else 1.0


def at_most(hits: int, trials: int, share: float) -> float:
    """Return the chance of so many hits or fewer, each of probability ``share``."""
    return float(binomtest(hits, trials, share, alternative="less").pvalue) if trials else 1.0
