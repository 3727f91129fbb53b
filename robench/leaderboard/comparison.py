"""Rows compared on the same images: ranks with intervals, and which differences are no chance.

All rows of a board are judged on the same samples, so differences are paired. Two networks are
compared by McNemar's exact test; where there are several seeds, by a bootstrap over samples and
seeds together: another test set and other trainings could both have come out otherwise. Over all
pairs of a board, p-values are corrected by Holm's method. What stays above 5% is not
distinguishable, whatever the order of the means says.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

LEVEL = 0.05
"""Differences with a corrected p-value below it are called distinguishable."""

RESAMPLES = 10_000
"""Test sets and sets of seeds that the bootstrap draws; always the same ones."""

Robust = NDArray[np.bool_]
"""(seeds, samples): right under the attack."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """All rows of a board against one another.

    Attributes:
        ranks: index: row; ``rank_low`` and ``rank_high``, the 95% interval of its rank, and
            ``group``, letters: rows that share one are not distinguishable.
        pairs: a line a pair, the better row first: ``difference`` of the mean accuracies with its
            95% interval ``low`` to ``high``, ``disagreement`` (share of samples on which just one
            is right), ``p``, ``p_holm``, ``method``, ``distinguishable``.
    """

    ranks: pd.DataFrame
    pairs: pd.DataFrame


def compare(robust: Mapping[str, Robust]) -> Comparison:
    """Compare rows.

    Args:
        robust: row -> (seeds, samples), on the same samples for all; seeds may differ in number.

    Raises:
        ValueError: where rows were judged on different numbers of samples.
    """
    sizes = {values.shape[1] for values in robust.values()}
    if len(sizes) > 1:
        raise ValueError(f"rows are judged on {sorted(sizes)} samples; a pair needs the same ones")
    means = {name: float(values.mean()) for name, values in robust.items()}
    names = sorted(robust, key=lambda name: (-means[name], name))
    drawn = _resampled([robust[name] for name in names])
    pairs = _pairs(names, robust, drawn)
    order = rankdata(-drawn, axis=1, method="min") if names else np.ones((1, 0))
    low, high = np.percentile(order, [2.5, 97.5], axis=0, method="nearest").astype(int)
    ranks = pd.DataFrame(
        {"rank_low": low, "rank_high": high, "group": _groups(names, pairs)}, index=names
    )
    return Comparison(ranks, pairs)


def _pairs(names: list[str], robust: Mapping[str, Robust], drawn: Floats) -> pd.DataFrame:
    rows = []
    for (i, first), (j, second) in itertools.combinations(enumerate(names), 2):
        difference = drawn[:, i] - drawn[:, j]
        low, high = np.percentile(difference, [2.5, 97.5])
        one, other = robust[first], robust[second]
        if len(one) == len(other) == 1:
            method, p = "McNemar", _mcnemar(one[0], other[0])
        else:
            method, p = "bootstrap", _crossing(difference)
        apart = (one[:, None] != other[None]).mean()
        rows.append((first, second, one.mean() - other.mean(), low, high, apart, p, method))
    columns = ["first", "second", "difference", "low", "high", "disagreement", "p", "method"]
    table = pd.DataFrame(rows, columns=columns)
    corrected = multipletests(table["p"], LEVEL, method="holm")[1] if rows else []
    table.insert(7, "p_holm", corrected)
    table["distinguishable"] = table["p_holm"] < LEVEL
    return table


def _mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    return float(mcnemar([[0, only_one], [only_other, 0]], exact=True).pvalue)


def _crossing(difference: Floats) -> float:
    """Return the two-sided p-value of zero within bootstrapped differences."""
    beyond = min((difference <= 0).sum(), (difference >= 0).sum())
    return float(min(1.0, 2 * (1 + beyond) / (1 + len(difference))))


def _resampled(rows: list[Robust]) -> Floats:
    """Return the mean accuracy of each row in each resample, (RESAMPLES, rows).

    A resample draws samples, the same for all rows, and for each row seeds, with replacement.
    """
    if not rows:
        return np.zeros((RESAMPLES, 0))
    rng = np.random.default_rng(0)
    cells = np.concatenate(rows).astype(np.float32)
    samples = cells.shape[1]
    starts = np.cumsum([0, *(len(row) for row in rows)])
    accuracies = np.empty((RESAMPLES, len(cells)), dtype=np.float64)
    part = max(1, 2**22 // samples)
    for begin in range(0, RESAMPLES, part):
        count = min(part, RESAMPLES - begin)
        chosen = rng.integers(samples, size=(count, samples))
        chosen += samples * np.arange(count)[:, None]
        weights = np.bincount(chosen.ravel(), minlength=count * samples).reshape(count, samples)
        counts = weights.astype(np.float32) @ cells.T  # whole numbers, exact in float32
        accuracies[begin : begin + count] = counts.astype(np.float64) / samples
    drawn = np.empty((RESAMPLES, len(rows)))
    for i, (start, end) in enumerate(itertools.pairwise(starts)):
        seeds = rng.multinomial(end - start, np.full(end - start, 1 / (end - start)), RESAMPLES)
        drawn[:, i] = (seeds * accuracies[:, start:end]).sum(1) / (end - start)
    return drawn


def _groups(names: list[str], pairs: pd.DataFrame) -> list[str]:
    """Return letters a row: the longest runs of rows, best first, with no distinguishable pair."""
    apart = {(p.first, p.second) for p in pairs.itertuples() if p.distinguishable}
    runs: list[range] = []
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and not any(
            (names[i], names[end]) in apart for i in range(start, end)
        ):
            end += 1
        if not runs or end > runs[-1].stop:
            runs.append(range(start, end))
    labels = [_letters(i) for i in range(len(runs))]
    return [
        " ".join(label for label, run in zip(labels, runs, strict=True) if i in run)
        for i in range(len(names))
    ]


def _letters(index: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    before, last = divmod(index, 26)
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]
