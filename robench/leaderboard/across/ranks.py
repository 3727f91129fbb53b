"""Mean ranks of rows over several boards, with Friedman's and Nemenyi's tests (Demšar 2006).

Each board is a block in which the rows are ranked; what is compared are ranks, so that boards of
other data, radii and recipes can be blocks. The test images of one board are no blocks of it: they
are what its own paired comparisons are made of.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, friedmanchisquare, rankdata, studentized_range

from robench.leaderboard.diagram import Diagram, Placed
from robench.leaderboard.significance import LEVEL

ENOUGH = 10
"""Boards from which on the tests have some power and their approximations hold (Demšar, 3.2.2)."""


@dataclass(frozen=True, eq=False)
class MeanRanks:
    """The rows that all boards have, by their mean rank.

    Attributes:
        table: ``defense``, ``mean_rank``, and the rank on each board, best first.
        columns: board -> the column that its rows are ranked by.
        p: of Friedman's test that all rows are alike; of two rows, of the exact sign test.
        critical: Nemenyi's critical difference of two mean ranks; 0 for two rows, which have none.
        groups: rows that are not distinguishable, as indices into the table; all of them if that
            test finds no difference.
        notes: what they show and what they cannot, one sentence each.
    """

    table: pd.DataFrame
    columns: dict[str, str]
    p: float
    critical: float
    groups: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]

    @property
    def diagram(self) -> Diagram:
        """The critical-difference diagram."""
        lines = self.table.itertuples(index=False)
        rows = tuple(Placed(str(line[0]), float(line[1]), f"{line[1]:.2f}") for line in lines)
        each = "; ".join(f"{row.name} {row.text}" for row in rows)
        names = [", ".join(rows[i].name for i in group) for group in self.groups]
        joined = f" Not distinguishable: {'; '.join(names)}." if names else ""
        boards = len(self.columns)
        return Diagram(
            axis=f"mean rank over {boards} boards",
            rows=rows,
            bars=self.groups,
            summary=f"Mean ranks over {boards} boards: {each}.{joined}",
            lower_is_better=True,
            critical=self.critical,
        )


def mean_ranks(
    accuracies: Mapping[str, Mapping[str, float]], columns: Mapping[str, str], *, same_images: bool
) -> MeanRanks | None:
    """Rank the rows on each board and compare their mean ranks.

    Args:
        accuracies: board -> row -> accuracy; at least two boards.
        columns: board -> the column that they are of.
        same_images: whether the boards evaluate the same images.

    Returns:
        The ranks of the rows that all boards have; None if there are fewer than two.
    """
    rows = _shared([list(found) for found in accuracies.values()])
    if len(rows) < 2:
        return None
    figures = np.array([[found[row] for row in rows] for found in accuracies.values()]).round(9)
    ranks = rankdata(-figures, axis=1)
    table = pd.DataFrame(ranks.T, columns=list(accuracies))
    table.insert(0, "mean_rank", ranks.mean(0))
    table.insert(0, "defense", rows)
    table = table.sort_values(["mean_rank", "defense"], ignore_index=True)
    boards, count = ranks.shape
    critical = critical_difference(count, boards) if count > 2 else 0.0
    p = float(friedmanchisquare(*figures.T).pvalue) if count > 2 else _sign_test(*figures.T)
    alike = not p < LEVEL
    groups = (tuple(range(count)),) if alike else _groups(table["mean_rank"].to_list(), critical)
    notes = _notes(columns, count, p, critical, same_images=same_images)
    return MeanRanks(table, dict(columns), p, critical, groups, tuple(notes))


def _sign_test(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the p-value of the exact sign test, two-sided; boards on which rows tie are left out.

    For two rows it takes the place of Friedman's test, whose chi-squared approximation holds for
    no small number of boards.
    """
    wins, losses = int((one > other).sum()), int((one < other).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def critical_difference(rows: int, boards: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at the 5% level.

    It is q sqrt(k (k + 1) / (6 N)) for k rows on N boards, where q is the quantile of the
    studentized range with infinitely many degrees of freedom, divided by the root of 2.
    """
    quantile = float(studentized_range.ppf(1 - LEVEL, rows, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(rows * (rows + 1) / (6 * boards))


def _shared(rows: Sequence[Sequence[str]]) -> list[str]:
    return [name for name in rows[0] if all(name in others for others in rows[1:])]


def _groups(ranks: Sequence[float], critical: float) -> tuple[tuple[int, ...], ...]:
    """Return the longest runs of sorted ranks that differ by less than the critical difference."""
    runs: list[range] = []
    for start in range(len(ranks)):
        end = start + 1
        while end < len(ranks) and ranks[end] - ranks[start] < critical:
            end += 1
        if end - start > 1 and (not runs or end > runs[-1].stop):
            runs.append(range(start, end))
    return tuple(tuple(run) for run in runs)


def _notes(
    columns: Mapping[str, str], rows: int, p: float, critical: float, *, same_images: bool
) -> list[str]:
    boards, by = len(columns), list(dict.fromkeys(columns.values()))
    own = f"by {by[0]}" if len(by) == 1 else "by its own ranking column"
    notes = [
        f"{rows} rows that all boards have, ranked on each {own}; a bar joins rows whose mean "
        f"ranks differ by less than {critical:.2f}, Nemenyi's critical difference at the "
        f"{100 * LEVEL:g}% level."
        if rows > 2
        else f"2 rows that all boards have, ranked on each {own}; a bar joins them if the exact "
        f"sign test over the boards finds no difference at the {100 * LEVEL:g}% level "
        f"(p = {p:.2g})."
    ]
    if rows > 2 and not math.isnan(p):
        verdict = (
            "the rows differ"
            if p < LEVEL
            else "no difference of the rows is shown, so all of them are joined"
        )
        notes.append(f"Friedman's test: p = {p:.2g}; {verdict}.")
    if boards < ENOUGH:
        notes.append(f"N = {boards} boards: low power, and the tests' p-values are rough.")
    if critical > rows - 1 or (rows == 2 and 2 * 0.5**boards >= LEVEL):
        notes.append(
            f"Mean ranks of {rows} rows differ by {rows - 1} at most, so that with {boards} boards "
            f"no pair could be distinguished."
        )
    if same_images:
        notes.append(
            "The boards evaluate the same images, so that they are not independent: the ranks say "
            "how far the order holds under their settings, not on other data."
        )
    return notes
