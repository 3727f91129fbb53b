"""Test all images of a row, and of the board, for changes that go in one direction.

A few images in each column pass every test of a column, but not one of them all together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import binom

from robench.leaderboard.holm import holm
from robench.leaderboard.rerun.comparing import LEVEL, NOT, Changes


@dataclass(frozen=True, eq=False)
class Tally:
    """What differs on the images of one network, over all columns.

    Attributes:
        row: the title of its row.
        scores: for each image, in how many columns it is fooled here only, less those in which it
            is fooled in the published outcomes only.
        fooled: number of pairs of image and column that are fooled here only.
        resisted: number of those that are fooled in the published outcomes only.
    """

    row: str
    scores: NDArray[np.int64]
    fooled: int
    resisted: int

    @classmethod
    def of(cls, row: str, columns: Iterable[Changes]) -> "Tally":
        """Sum up columns; those with another number of images are refuted anyway."""
        complete = [changes for changes in columns if changes.complete]
        scores = np.zeros(max((c.images for c in complete), default=0), np.int64)
        for changes in complete:
            scores[: changes.images] += changes.signs
        fooled = sum(changes.fooled for changes in complete)
        return cls(row, scores, fooled, sum(changes.resisted for changes in complete))


def pool_problems(tallies: Sequence[Tally], *, seeds: str = "the published seeds") -> list[str]:
    """Return a sentence for each row, and for the board, that a sign test rejects.

    An image is as likely to be fooled in one evaluation as in the other; it is flipped with all
    columns of its network, since what decides one of them often decides the next. The level is 1%
    for all rows and the board together (Holm).

    Args:
        tallies: those of the networks.
        seeds: the seeds of the attacks, as a sentence names them.
    """
    rows = list(dict.fromkeys(tally.row for tally in tallies))
    pools = {f"the row '{row}'": [t for t in tallies if t.row == row] for row in rows}
    if len(rows) > 1:
        pools["the board"] = list(tallies)
    if not pools:
        return []
    chances = [sign_flip_p(np.concatenate([t.scores for t in pool])) for pool in pools.values()]
    rejected = holm(chances) <= LEVEL
    return [
        f"{name} is {NOT} with {seeds}: over all seeds and columns that were attacked again, "
        f"{sum(t.fooled for t in pool)} images are fooled here that are published as robust, and "
        f"{sum(t.resisted for t in pool)} the other way round (sign test, p = {p:.2g})."
        for (name, pool), p, wrong in zip(pools.items(), chances, rejected, strict=True)
        if wrong
    ]


def sign_flip_p(scores: NDArray[np.int64]) -> float:
    """Return how likely a sum of the scores as far from 0 is, if each has a random sign.

    With scores of 1, 0 and -1 it is McNemar's exact test, two-sided.

    Args:
        scores: integers (n,).
    """
    sizes, counts = np.unique(np.abs(scores[scores != 0]), return_counts=True)
    chances = np.ones(1)  # of the sum of the positive scores
    for size, count in zip(sizes, counts, strict=True):
        steps = np.zeros(size * count + 1)
        steps[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = fftconvolve(chances, steps)
    # The sum is symmetric around 0, so that either direction is as likely.
    larger = max(int(scores[scores > 0].sum()), -int(scores[scores < 0].sum()))
    return float(np.clip(2 * chances[larger:].sum(), 0.0, 1.0))
