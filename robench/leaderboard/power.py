"""Power analysis: the samples and seeds needed to distinguish two defenses."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom
from statsmodels.stats.power import TTestIndPower, TTestPower

from robench.errors import UserError
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.significance import LEVEL
from robench.leaderboard.usable import check_tables

DISAGREEMENTS = (0.02, 0.05, 0.1, 0.2)
"""Shares of samples on which two networks disagree, assumed if no board is given."""

SPREADS = (0.002, 0.005, 0.01)
"""Standard deviations over seeds, assumed if no board with several seeds is given."""


LEAST = 1e-6
"""The smallest difference that is planned for; it takes up to 10^13 images, and statsmodels' power
overflows for much more."""


EXACT = 20_000
"""Images up to which the power of McNemar's exact test is summed up. From there on the plan is at
most 1% higher, for differences from 0.2 to 1 point."""

ROWS = 10
"""Rows of the board that is thought of, if none is given."""


ALONE = (
    "Images are counted as if seeds did not vary, and seeds as if there were endless images; a "
    "board with both finds such a difference less often, so take more of both."
)
"""What two plans, each for itself, do not say of both together."""


def samples_needed(
    difference: float, disagreement: float, power: float = 0.8, level: float = LEVEL
) -> int:
    """Return the number of images on which two networks have to be evaluated.

    Samples are paired: only those on which the networks disagree are informative. It is the power
    of McNemar's exact test, two-sided, by which boards of one seed compare; beyond :data:`EXACT`
    samples, statsmodels' power of the paired t-test (the difference of a sample is +1, 0 or -1,
    with mean ``difference`` and variance ``disagreement - difference**2``) and, for what the exact
    test takes more, a continuity correction of ``2 / difference`` samples.

    Args:
        difference: the difference of the two accuracies, as a fraction: 0.005 is half a point.
        disagreement: share of the samples on which exactly one of the two is correct.
        power: probability of detecting a true difference of that size.
        level: the p-value below which a difference counts as detected.

    Raises:
        UserError: if the difference is not in (0, 1), is below :data:`LEAST`, or is larger than the
            disagreement.
    """
    _check(difference)
    if not difference <= disagreement <= 1:
        raise UserError(
            f"networks that differ by {difference:g} disagree on at least that share of the "
            f"samples, not on {disagreement:g}."
        )
    spread = math.sqrt(max(disagreement - difference**2, 1e-12))
    effect = difference / spread
    count = _smallest(lambda count: TTestPower().power(effect, count, level), power)
    if count > EXACT:
        return count + math.ceil(2 / difference)
    return _smallest(lambda count: mcnemar_power(count, difference, disagreement, level), power)


def mcnemar_power(count: int, difference: float, disagreement: float, level: float) -> float:
    """Return how often McNemar's exact test, two-sided, finds a difference of two networks.

    Args:
        count: number of samples.
        difference: the difference of the two accuracies.
        disagreement: share of the samples on which exactly one of the two is correct.
        level: the p-value below which a difference counts as detected.
    """
    # Samples on which they disagree: all numbers of them that are likely to occur.
    few, many = binom.ppf([1e-9, 1 - 1e-9], count, disagreement)
    unlike = np.arange(few, many + 1)
    wins = 0.5 * (1 + difference / disagreement)
    most = binom.isf(level / 2, unlike, 0.5)  # of either kind without being detected
    found = binom.sf(most, unlike, wins) + binom.cdf(unlike - most - 1, unlike, wins)
    return float(np.clip(binom.pmf(unlike, count, disagreement) @ found, 0.0, 1.0))


def seeds_needed(
    difference: float, seed_std: float, power: float = 0.8, level: float = LEVEL
) -> int:
    """Return how many training runs of each of two defenses show a difference of their means.

    By statsmodels' power of the t-test of two independent groups, two-sided; at least 2.

    Args:
        difference: the difference of the mean accuracies, as a fraction.
        seed_std: standard deviation of the accuracy over seeds.
        power: probability of detecting a true difference of that size.
        level: the p-value below which a difference counts as detected.

    Raises:
        UserError: if the difference is not in (0, 1) or is below :data:`LEAST`.
    """
    _check(difference)
    effect = difference / max(seed_std, 1e-9)
    return _smallest(lambda count: TTestIndPower().power(effect, count, level), power)


def _check(difference: float) -> None:
    if not 0 < difference < 1:
        raise UserError(
            f"a difference of {100 * difference:g} percentage points is not between 0 and 100."
        )
    if difference < LEAST:
        raise UserError(
            f"a difference of {difference:g} is too small for any test; plan for one of {LEAST:g} "
            f"({100 * LEAST:g} percentage points) or more."
        )


def _smallest(power_of: Callable[[int], float], power: float) -> int:
    """Return the smallest count >= 2 with the power; statsmodels' solver fails for some inputs.

    Far beyond the requested power, SciPy's noncentral t gives NaN.
    """

    def reached(count: int) -> bool:
        found = power_of(count)
        return math.isnan(found) or found >= power

    enough = 2
    while not reached(enough):
        enough *= 2
    return bisect_left(range(enough), True, lo=2, key=reached) if enough > 2 else 2


def planned(
    difference: float, power: float = 0.8, board: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the samples needed for each disagreement, and the seeds for each spread over seeds.

    Networks disagree on at least the share of the samples by which they differ: where fewer would
    be assumed, it is that share; of the rows of a board it is that share and what they disagree on
    beyond their own differences, in the median.

    Args:
        difference: the difference of two accuracies, as a fraction.
        power: probability of detecting a true difference of that size.
        board: folder of a leaderboard, whose networks' disagreement and spread are used.

    Raises:
        UserError: if there is no such board, its tables are damaged or compare no rows, or the
            difference is impossible.
    """
    noise = _Noise() if board is None else _measured(board)
    possible = noise.disagreements_of(difference)
    samples = [samples_needed(difference, d, power) for d in possible]
    seeds = [seeds_needed(difference, spread, power) for spread in noise.spreads]
    return (
        pd.DataFrame({"disagreement": possible, "samples": samples}),
        pd.DataFrame({"seed_std": noise.spreads, "seeds": seeds}),
    )


def corrected(difference: float, power: float = 0.8, board: Path | None = None) -> str:
    """Return a sentence on what Holm's correction over the pairs of a board needs beyond a plan.

    The smallest of the p-values is held against the level divided by the number of pairs.

    Args:
        difference: as for :func:`planned`.
        power: likewise.
        board: likewise; a board of :data:`ROWS` rows if left out.

    Returns:
        "" for a board of a single pair, where there is nothing to correct.
    """
    noise = _Noise() if board is None else _measured(board)
    if noise.pairs < 2:
        return ""
    level = LEVEL / noise.pairs
    images = [
        samples_needed(difference, d, power, level) / samples_needed(difference, d, power)
        for d in noise.disagreements_of(difference)
    ]
    seeds = [
        seeds_needed(difference, s, power, level) / seeds_needed(difference, s, power)
        for s in noise.spreads
    ]
    whose = f"a board of {ROWS} rows" if board is None else "this board"
    return (
        f"This is for one comparison: Holm's correction over the {noise.pairs} pairs of {whose} "
        f"needs up to {max(images):.1f} times as many images and {max(seeds):.1f} times as many "
        f"seeds."
    )


@dataclass(frozen=True)
class _Noise:
    """What a plan is made for: how much networks disagree and vary, and how many are compared.

    Attributes:
        disagreements: shares of the samples on which two networks disagree.
        beyond: whether the shares are beyond what the difference of their accuracies makes them
            disagree on.
        spreads: standard deviations over seeds.
        pairs: number of pairs that are compared.
    """

    disagreements: tuple[float, ...] = DISAGREEMENTS
    beyond: bool = False
    spreads: tuple[float, ...] = SPREADS
    pairs: int = math.comb(ROWS, 2)

    def disagreements_of(self, difference: float) -> list[float]:
        """Return the disagreements of networks that differ by so much."""
        if self.beyond:
            return sorted({min(1.0, share + difference) for share in self.disagreements})
        return sorted({max(share, difference) for share in self.disagreements})


def _measured(board: Path) -> _Noise:
    """Return the median disagreement of a board's pairs, and the spread of its rows.

    Rows that differ much disagree on many samples for that reason alone, which says nothing about
    rows that differ little: counted is what goes beyond the difference. Standard deviations of a
    few seeds are too small more often than too large, but not their mean square, which the t-test
    pools as well.
    """
    published = Leaderboard.read(board)
    check_tables(published)
    pairs, column = published.comparisons, published.board.evaluation.ranking_column
    if pairs.empty:
        raise UserError(
            f"{board} compares no rows, as it has fewer than two with figures; name the folder of "
            f"another board, or leave --board out."
        )
    spreads = published.table[f"{column}_std"].dropna()
    # A single seed has no spread.
    spread = (float(spreads.pow(2).mean() ** 0.5),) if len(spreads) else SPREADS
    beyond = (pairs["disagreement"] - pairs["difference"].abs()).clip(lower=0)
    return _Noise((float(beyond.median()),), beyond=True, spreads=spread, pairs=len(pairs))
