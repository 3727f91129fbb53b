"""Paired comparison of rows: which differences are significant, and what ranks they leave open.

All rows of a board are evaluated on the same samples, so differences are paired. Two networks are
compared by McNemar's exact test or, if there are several seeds, by a t-test over samples and seeds
together: both another test set and other training runs could have given other results. Over all
pairs of a board, p-values are corrected by Holm's method. Pairs with a corrected p-value above 5%
are not distinguishable, whatever the order of their means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robench.leaderboard.holm import holm
from robench.leaderboard.letters import shared_letters
from robench.leaderboard.significance import (
    LEVEL,
    MCNEMAR,
    T_TEST,
    Runs,
    mcnemar,
    over_images,
    over_seeds,
    t_test,
)

TEXT = ("column", "first", "second", "method")
"""Columns of ``comparisons.csv`` that hold text; all others hold numbers."""

Hits = NDArray[np.int64] | NDArray[np.bool_]
"""(seeds, samples): in how many parts of the column the prediction is correct; 0 or 1 under an
attack, and up to the number of corruptions for the mean over them."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Comparison of all rows of a board with one another.

    Attributes:
        ranks: indexed by row: ``rank_low`` and ``rank_high``, the ranks that the distinguishable
            pairs leave open (Al Mohamad, Goeman and van Zwet, Biometrics 2022): all of them hold
            the true rank with a probability of 95%; and ``group``, letters: rows share a letter
            exactly if they are not distinguishable.
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
        parts: the number of parts of the column. Means over several are compared by the t-test.

    Raises:
        ValueError: if rows were evaluated on different numbers of samples.
    """
    sizes = {values.shape[1] for values in hits.values()}
    if len(sizes) > 1:
        raise ValueError(
            f"rows are evaluated on {sorted(sizes)} samples; a pair needs the same samples"
        )
    names = sorted(hits, key=lambda name: (-_mean(hits[name], parts), name))
    pairs = _pairs(names, hits, parts)
    place = {name: index for index, name in enumerate(names)}
    apart = np.zeros((len(names), len(names)), dtype=bool)  # [i, j]: i is better than j
    found = pairs[pairs["distinguishable"]]
    for better, worse in zip(found["first"], found["second"], strict=True):
        apart[place[better], place[worse]] = True
    ranks = pd.DataFrame(
        {
            "rank_low": 1 + apart.sum(0),
            "rank_high": len(names) - apart.sum(1),
            "group": shared_letters(len(names), lambda i, j: not (apart[i, j] or apart[j, i])),
        },
        index=names,
    )
    return Comparison(ranks, pairs)


def matched(
    pairs: Sequence[tuple[Hits, Hits]], parts: int = 1, *, paired: bool = True
) -> pd.DataFrame:
    """Compare the two networks of each pair, such as those of one row on two boards.

    A single run that is compared with several is taken to vary as they do.

    Args:
        pairs: two arrays (seeds, samples) each, of as many samples in all the first ones and in all
            the second ones.
        parts: the number of parts of the column.
        paired: whether both are on the same samples, as many.

    Returns:
        One line per pair: ``first`` and ``second``, the mean accuracies; ``difference``, the second
        minus the first, with its 95% interval ``low`` to ``high``; ``p``, two-sided and not
        corrected; ``method``.
    """
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    first, second = np.arange(len(pairs)), len(pairs) + np.arange(len(pairs))
    compared = _compared if paired else _independent
    # A single run against several is one of them, too, that went as it did by chance.
    runs = np.array([max(len(one), len(other)) > 1 for one, other in pairs] * 2, dtype=bool)
    # The second minus the first.
    found = compared([*ones, *others], second, first, parts, runs)
    means = {"first": [_mean(one, parts) for one in ones]}
    means["second"] = [_mean(other, parts) for other in others]
    columns = ["difference", "low", "high", "p", "method"]
    return pd.concat([pd.DataFrame(means, dtype=float), found[columns]], axis=1)


def _mean(hits: Hits, parts: int) -> float:
    # A quotient of integers, so that rows of one accuracy have it to the last bit.
    return float(hits.sum()) / (hits.size * parts)


def _pairs(names: list[str], hits: Mapping[str, Hits], parts: int) -> pd.DataFrame:
    rows = [hits[name] for name in names]
    first, second = np.triu_indices(len(names), k=1)
    table = _compared(rows, first, second, parts)
    label = np.array(names, dtype=object)
    table.insert(0, "first", label[first])
    table.insert(1, "second", label[second])
    table.insert(7, "p_holm", holm(table["p"]))
    table["distinguishable"] = table["p_holm"] < LEVEL
    return table


def _compared(
    rows: Sequence[Hits],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    parts: int,
    runs: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Compare rows on the same samples, those at ``first`` with those at ``second``."""
    samples = rows[0].shape[1] if rows else 1
    whole = np.array([float(len(row) * parts) for row in rows])  # where all of a sample is correct
    counts = np.array([row.sum(0) for row in rows], dtype=float).reshape(len(rows), samples)
    sums, products = counts.sum(1), counts @ counts.T  # of integers, so exact in any order
    own, means = np.diag(products) / whole**2, sums / whole
    shared = products[first, second] / (whole[first] * whole[second])
    won, lost = means[first] - shared, means[second] - shared  # samples, or parts of them
    of_rows = np.array([_mean(row, parts) for row in rows])
    squares = np.maximum(own[first] + own[second] - 2 * shared, 0)
    adjusted, images = over_images(means[first] - means[second], squares, samples, 0)
    seeds = _seeds(rows, parts, runs)
    difference = of_rows[first] - of_rows[second]
    tested = t_test(difference, adjusted, images, seeds.of_pairs(first, second))
    single = np.array([len(row) == parts == 1 for row in rows], dtype=bool)
    exact = single[first] & single[second]
    return pd.DataFrame(
        {
            "difference": difference,
            "low": tested.low,
            "high": tested.high,
            "disagreement": (won + lost) / samples,
            "p": np.where(exact, mcnemar(won, lost), tested.p),
            "method": np.where(exact, MCNEMAR, T_TEST),
        }
    )


def _independent(
    rows: Sequence[Hits],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    parts: int,
    runs: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Compare rows on different samples, those at ``first`` with those at ``second``."""
    means = np.array([_mean(row, parts) for row in rows])
    correct = [row.mean(0) / parts for row in rows]  # of each sample
    adjusted, images = over_images(
        np.array([own.sum() for own in correct]),
        np.array([(own**2).sum() for own in correct]),
        np.array([len(own) for own in correct]),
        1,
    )
    tested = t_test(
        means[first] - means[second],
        adjusted[first] - adjusted[second],
        images[first] + images[second],
        _seeds(rows, parts, runs).of_pairs(first, second),
    )
    found = {"low": tested.low, "high": tested.high, "p": tested.p, "method": T_TEST}
    return pd.DataFrame({"difference": means[first] - means[second], **found})


def _seeds(rows: Sequence[Hits], parts: int, runs: NDArray[np.bool_] | None) -> Runs:
    samples = max((row.shape[1] for row in rows), default=1)
    return over_seeds([row.mean(1) / parts for row in rows], 1 / (samples * parts), runs)
