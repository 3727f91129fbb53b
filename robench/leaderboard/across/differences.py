"""The same rows on two boards: how much each column differs, and whether the order is the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from robench.checks.wording import some
from robench.leaderboard.across.meaning import compared_columns, shared_columns
from robench.leaderboard.comparison import Hits, matched
from robench.leaderboard.holm import holm
from robench.leaderboard.order import order_sentence
from robench.leaderboard.page.wording import listed
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.row import LeaderboardRow, parts
from robench.leaderboard.significance import LEVEL, TESTS

FIGURES = (
    "first_board", "second_board", "defense", "column", "first", "second", "difference", "low",
    "high", "p", "p_holm", "distinguishable", "method", "paired", "images",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Differences:
    """Two boards, the second compared with the first.

    Attributes:
        labels: their names.
        columns: the columns that mean the same on both, in the order of the first board.
        figures: a line per shared row and column, with the columns :data:`FIGURES`: the accuracies,
            the ``difference``, second minus first, with its 95% interval ``low`` to ``high``, and
            its p-value, corrected by Holm's method over all lines. ``images`` is how many they
            were compared on, the smaller number if they are not the same ones.
        agreement: a line per column: ``rows``, Kendall's ``tau``, and how many ``pairs`` of rows
            are ``reversed``.
        other: columns of one name that mean something else on each: column -> the two meanings.
        rows_of_one: the rows that only the first has, and only the second.
        columns_of_one: likewise.
        notes: how they were compared, one sentence each.
    """

    labels: tuple[str, str]
    columns: tuple[str, ...]
    figures: pd.DataFrame
    agreement: pd.DataFrame
    other: dict[str, tuple[str, str]]
    rows_of_one: tuple[tuple[str, ...], tuple[str, ...]]
    columns_of_one: tuple[tuple[str, ...], tuple[str, ...]]
    notes: tuple[str, ...]


def differences(first: Leaderboard, second: Leaderboard, labels: tuple[str, str]) -> Differences:
    """Compare the rows and columns that two boards share.

    Outcomes are paired if both boards have the same images: they evaluate the first ones of the
    same order, so that of different numbers the smaller is compared. Otherwise the images of the
    two are independent.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    columns, other = shared_columns(first, second)
    paired = len({cell.file.cell.data_hash for cell in (*first.cells, *second.cells)}) == 1
    lines, means, cut = [], [], False
    for column, named in _hits(first, second, columns).items():
        count = len(parts(first.result.columns, column))
        pairs, images = _compared(list(named.values()), paired=paired)
        cut |= any(hits.shape[1] > images for both in named.values() for hits in both)
        compared = matched(pairs, count, paired=paired)
        compared.insert(0, "defense", list(named))
        lines.append(compared.assign(column=column, images=images))
        order = compared.set_index("defense")[["first", "second"]]
        means.append((column, order.set_axis(list(labels), axis=1)))
    figures = pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=list(FIGURES))
    figures = figures.assign(
        first_board=labels[0],
        second_board=labels[1],
        paired=paired,
        p_holm=holm(figures["p"].astype(float)),
    )
    figures["distinguishable"] = figures["p_holm"] < LEVEL
    rows = [tuple(row.title for row in board.result.rows) for board in (first, second)]
    names = [tuple(compared_columns(board)) for board in (first, second)]
    return Differences(
        labels=labels,
        columns=tuple(dict.fromkeys(figures["column"])),
        figures=figures[list(FIGURES)],
        agreement=pd.DataFrame([_agreement(column, found) for column, found in means]),
        other=other,
        rows_of_one=(_only(rows[0], rows[1]), _only(rows[1], rows[0])),
        columns_of_one=(_only(names[0], names[1]), _only(names[1], names[0])),
        notes=tuple(_notes(first, second, labels, figures, means, cut=cut)),
    )


Named = dict[str, tuple[Hits, Hits]]


def _hits(first: Leaderboard, second: Leaderboard, columns: Sequence[str]) -> dict[str, Named]:
    """Return column -> row -> the outcomes on both boards, of the rows that have them on both."""
    found: dict[str, Named] = {column: {} for column in columns}
    others = {row.title: row for row in second.result.rows}
    for row in first.result.rows:
        if row.title not in others:
            continue
        one = LeaderboardRow(first.result, row)
        two = LeaderboardRow(second.result, others[row.title])
        if one.diverged or two.diverged:
            continue
        for column in columns:
            if not any(np.isnan(r.evaluated[column].accuracy.mean) for r in (one, two)):
                found[column][row.title] = (one.hits(column), two.hits(column))
    return {column: named for column, named in found.items() if named}


def _compared(
    pairs: Sequence[tuple[Hits, Hits]], *, paired: bool
) -> tuple[Sequence[tuple[Hits, Hits]], int]:
    """Return the outcomes that are compared, and on how many images, the smaller number.

    All figures are of these, the order of the rows included.
    """
    images = min(hits.shape[1] for both in pairs for hits in both)
    if paired:
        pairs = [(one[:, :images], two[:, :images]) for one, two in pairs]
    return pairs, images


def _agreement(column: str, means: pd.DataFrame) -> dict[str, object]:
    one, two = (means.iloc[:, i].to_numpy(float).round(9) for i in range(2))
    pairs = [(i, j) for i, j in combinations(range(len(one)), 2)]
    reversed_ = sum((one[i] - one[j]) * (two[i] - two[j]) < 0 for i, j in pairs)
    tau = float(kendalltau(one, two).statistic) if pairs else float("nan")
    return {
        "column": column, "rows": len(one), "tau": tau, "pairs": len(pairs),
        "reversed": int(reversed_),
    }  # fmt: skip


def _only(own: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in own if name not in others)


def _notes(
    first: Leaderboard,
    second: Leaderboard,
    labels: tuple[str, str],
    figures: pd.DataFrame,
    means: Sequence[tuple[str, pd.DataFrame]],
    *,
    cut: bool,
) -> list[str]:
    """Return what a reader of the differences must know.

    ``cut`` says whether a column has other numbers of images on the two boards.
    """
    if figures.empty:
        return []
    methods = listed([TESTS.get(m, m) for m in sorted(figures["method"].unique())])
    how = (
        f"Paired: both boards evaluate the same images; by {methods}."
        if figures["paired"].all()
        else f"Not paired: the boards evaluate different images; by {methods}."
    )
    tested = f"{some(len(figures), 'comparison')} (Holm, {100 * LEVEL:g}%)"
    notes = [how, f"Stars are corrected for {tested}, intervals are not."]
    if cut:
        notes.append(_extent(figures))
    alone = [label for label, board in zip(labels, (first, second), strict=True)
             if len(board.board.seeds) == 1]  # fmt: skip
    if len(alone) == 2:
        notes.append(
            f"A row of {listed(alone)} is a single training run: a difference is one of networks, "
            f"and may be due to the seed."
        )
    elif alone:
        notes.append(
            f"A row of {alone[0]} is a single training run, which is taken to vary as those of the "
            f"other board do."
        )
    ranking = dict(means)
    columns = dict.fromkeys(board.board.evaluation.ranking_column for board in (first, second))
    for column in columns:
        if column in ranking:
            notes.append(_order(column, ranking[column], labels))
    return [note for note in notes if note]


def _extent(figures: pd.DataFrame) -> str:
    """Return which images are compared if a column has other numbers of them on the two boards."""
    if not figures["paired"].all():
        return "Accuracies and the order of the rows are over all images of each board."
    images = figures.groupby("images", sort=False)["column"].unique()
    if len(images) == 1:
        return f"Compared on the first {images.index[0]:,} images, which both have."
    each = "; ".join(f"{number:,} for {listed(list(names))}" for number, names in images.items())
    return f"Compared on the first images, which both have: {each}."


def _order(column: str, means: pd.DataFrame, labels: tuple[str, str]) -> str:
    names = [f"{column} in {label}" for label in labels]
    table = means.set_axis([f"{name}_mean" for name in names], axis=1)
    return order_sentence(table.assign(defense=means.index), names[1], names[0])
