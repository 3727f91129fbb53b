"""Paired comparison of rows: intervals of their ranks, and which differences are significant.

All rows of a board are evaluated on the same samples, so differences are paired. Two networks are
compared by McNemar's exact test or, if there are several seeds, by a bootstrap over samples and
seeds together: both another test set and other training runs could have given other results. Over
all pairs of a board, p-values are corrected by Holm's method. Pairs with a corrected p-value above
5% are not distinguishable, whatever the order of their means.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, norm, rankdata
from statsmodels.stats.multitest import multipletests

LEVEL = 0.05
"""Differences with a corrected p-value below it are called distinguishable."""

RESAMPLES = 10_000
"""Number of bootstrap resamples of test set and seeds; the draws are deterministic."""

TEXT = ("column", "first", "second", "method")
"""Columns of ``comparisons.csv`` that hold text; all others hold numbers."""

Hits = NDArray[np.int64] | NDArray[np.bool_]
"""(seeds, samples): in how many parts of the column the prediction is correct; 0 or 1 under an
attack, and up to the number of corruptions for the mean over them."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Comparison of all rows of a board with one another.

    Attributes:
        ranks: indexed by row: ``rank_low`` and ``rank_high``, the 95% interval of its rank, and
            ``group``, letters: rows that share a letter are not distinguishable.
        pairs: one line per pair, the better row first: ``difference`` of the mean accuracies with
            its 95% interval ``low`` to ``high``, ``disagreement`` (share of samples on which
            exactly one of the two is correct; of a mean over corruptions, the probability of that
            for two of them), ``p``, ``p_holm``, ``method``, ``distinguishable``.
    """

    ranks: pd.DataFrame
    pairs: pd.DataFrame


def compare(hits: Mapping[str, Hits], parts: int = 1) -> Comparison:
    """Compare all rows with one another.

    Args:
        hits: row -> (seeds, samples), on the same samples for all rows; the number of seeds may
            differ.
        parts: the number of parts of the column. Means over several are compared by the bootstrap.

    Raises:
        ValueError: if rows were evaluated on different numbers of samples.
    """
    sizes = {values.shape[1] for values in hits.values()}
    if len(sizes) > 1:
        raise ValueError(
            f"rows are evaluated on {sorted(sizes)} samples; a pair needs the same samples"
        )
    means = {name: float(values.mean()) / parts for name, values in hits.items()}
    names = sorted(hits, key=lambda name: (-means[name], name))
    drawn = _resampled([hits[name] for name in names], parts)
    pairs = _pairs(names, hits, drawn, parts)
    order = rankdata(-drawn, axis=1, method="min") if names else np.ones((1, 0))
    low, high = np.percentile(order, [2.5, 97.5], axis=0, method="nearest").astype(int)
    ranks = pd.DataFrame(
        {"rank_low": low, "rank_high": high, "group": _groups(names, pairs)}, index=names
    )
    return Comparison(ranks, pairs)


def _pairs(names: list[str], hits: Mapping[str, Hits], drawn: Floats, parts: int) -> pd.DataFrame:
    first, second = np.triu_indices(len(names), k=1)
    means = np.array([hits[name].mean() / parts for name in names])
    shares = np.stack([hits[name].mean(0) for name in names]) if names else np.zeros((0, 1))
    shares = shares / parts
    single = np.array([len(hits[name]) == parts == 1 for name in names], dtype=bool)
    exact = single[first] & single[second]
    low, high, crossing = _differences(drawn)
    wins = shares @ (1 - shares).T  # [i, j]: samples that only i classifies correctly
    won, lost = wins[first, second], wins[second, first]
    label = np.array(names, dtype=object)
    table = pd.DataFrame(
        {
            "first": label[first],
            "second": label[second],
            "difference": means[first] - means[second],
            "low": low,
            "high": high,
            "disagreement": (won + lost) / shares.shape[1],
            "p": np.where(exact, _mcnemar(won, lost), crossing),
        }
    )
    table["p_holm"] = holm(table["p"])
    table["method"] = np.where(exact, "McNemar", "bootstrap")
    table["distinguishable"] = table["p_holm"] < LEVEL
    return table


def matched(
    pairs: Sequence[tuple[Hits, Hits]], parts: int = 1, *, paired: bool = True
) -> pd.DataFrame:
    """Compare the two networks of each pair, such as those of one row on two boards.

    Args:
        pairs: two arrays (seeds, samples) each, of as many samples in all the first ones and in all
            the second ones. The seeds of the two are drawn independently.
        parts: the number of parts of the column.
        paired: whether both are on the same samples, as many. If not, their samples are drawn
            independently.

    Returns:
        One line per pair: ``first`` and ``second``, the mean accuracies; ``difference``, the second
        minus the first, with its 95% interval ``low`` to ``high``; ``p``, two-sided and not
        corrected; ``method``.
    """
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    if paired:
        drawn = _resampled([*ones, *others], parts)
        of_ones, of_others = drawn[:, : len(ones)], drawn[:, len(ones) :]
    else:
        # Both come from the same draws of positions; in another order, they are independent.
        order = np.random.default_rng(1).permutation(RESAMPLES)
        of_ones, of_others = _resampled(ones, parts), _resampled(others, parts)[order]
    low, high, p = _intervals((of_others - of_ones).T)
    table = pd.DataFrame(
        {
            "first": [one.mean() / parts for one in ones],
            "second": [other.mean() / parts for other in others],
        },
        dtype=float,
    )
    table = table.assign(difference=table["second"] - table["first"], low=low, high=high, p=p)
    table["method"] = "bootstrap"
    for index, (one, other) in enumerate(pairs):
        if paired and len(one) == len(other) == parts == 1:
            won, lost = (
                np.asarray(((a > b).sum(),), float) for a, b in ((other, one), (one, other))
            )
            table.loc[index, "p"] = _mcnemar(won, lost)[0]
            table.loc[index, "method"] = "McNemar"
    return table


def holm(p: "pd.Series[float]") -> Floats:
    """Return p-values corrected by Holm's method."""
    return np.asarray(multipletests(p, LEVEL, method="holm")[1]) if len(p) else np.zeros(0)


def _mcnemar(won: Floats, lost: Floats) -> Floats:
    """Return exact two-sided p-values; the null hypothesis: wins and losses are equally likely."""
    few, all_of_them = np.rint(np.minimum(won, lost)), np.rint(won + lost)
    return np.minimum(1.0, 2 * binom.cdf(few, all_of_them, 0.5))


def _differences(drawn: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the 95% interval of each pair's difference, and the two-sided p-value of zero.

    Pairs are in the order of ``np.triu_indices``; they are computed row by row, since the
    differences of a large board do not all fit in memory.
    """
    columns = np.ascontiguousarray(drawn.T)
    none = (np.zeros(0), np.zeros(0), np.zeros(0))
    found = [_intervals(columns[i] - columns[i + 1 :]) for i in range(len(columns) - 1)]
    low, high, values = (np.concatenate(part) for part in zip(none, *found, strict=True))
    return low, high, values


def _intervals(difference: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the 95% interval of each line of resamples, and the two-sided p-value of zero.

    If no resample crosses zero, the p-value is that of a normal distribution with their mean and
    spread: a count of zero only bounds it by 2 / (RESAMPLES + 1), which would not stay significant
    after Holm's correction over a few hundred pairs.
    """
    low, high = np.percentile(difference, [2.5, 97.5], axis=1)
    beyond = np.minimum((difference <= 0).sum(1), (difference >= 0).sum(1))
    counted = np.minimum(1.0, 2 * (1 + beyond) / (1 + difference.shape[1]))
    spread = np.maximum(difference.std(1), np.finfo(np.float64).tiny)
    tail = 2 * norm.sf(np.abs(difference.mean(1)) / spread)
    return low, high, np.where(beyond == 0, np.minimum(counted, tail), counted)


def _resampled(rows: list[Hits], parts: int) -> Floats:
    """Return the mean accuracy of each row in each resample, (RESAMPLES, rows).

    Each resample draws the samples, the same for all rows, and the seeds of each row, with
    replacement.
    """
    if not rows:
        return np.zeros((RESAMPLES, 0))
    rng = np.random.default_rng(0)
    cells = np.concatenate(rows).astype(np.float32)
    samples = cells.shape[1]
    starts = np.cumsum([0, *(len(row) for row in rows)])
    counts = np.concatenate([w.astype(np.float32) @ cells.T for w in _draws(samples, rng)])
    # Counts are integers, exact in float32.
    accuracies = counts.astype(np.float64) / (samples * parts)
    drawn = np.empty((RESAMPLES, len(rows)))
    for i, (start, end) in enumerate(itertools.pairwise(starts)):
        seeds = rng.multinomial(end - start, np.full(end - start, 1 / (end - start)), RESAMPLES)
        drawn[:, i] = (seeds * accuracies[:, start:end]).sum(1) / (end - start)
    return drawn


def _draws(samples: int, rng: np.random.Generator) -> Iterable[NDArray[np.uint16]]:
    """Return how often each resample has drawn each sample, in parts of (some, samples).

    Comparisons of columns of the same number of samples share one set of draws, which is kept
    unless it is large. The generator is left as after drawing it.
    """
    if RESAMPLES * samples > _KEPT:
        return _drawn(RESAMPLES, samples, rng)
    parts, state = _kept_draws(RESAMPLES, samples)
    rng.bit_generator.state = state
    return parts


_KEPT = 2**25
"""Largest number of counts that are kept between comparisons, 64 MiB."""


@lru_cache(maxsize=1)
def _kept_draws(resamples: int, samples: int) -> tuple[tuple[NDArray[np.uint16], ...], Any]:
    rng = np.random.default_rng(0)
    return tuple(_drawn(resamples, samples, rng)), rng.bit_generator.state


def _drawn(resamples: int, samples: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint16]]:
    chunk = max(1, 2**22 // samples)
    for begin in range(0, resamples, chunk):
        count = min(chunk, resamples - begin)
        chosen = rng.integers(samples, size=(count, samples))
        chosen += samples * np.arange(count)[:, None]
        weights = np.bincount(chosen.ravel(), minlength=count * samples)
        yield weights.reshape(count, samples).astype(np.uint16)


def _groups(names: list[str], pairs: pd.DataFrame) -> list[str]:
    """Return each row's letters: one per maximal run of rows without a distinguishable pair."""
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
