"""Compare published boards: their settings, their shared rows, and the mean ranks over all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from robench.errors import UserError, shortened
from robench.leaderboard.across.differences import Differences, differences
from robench.leaderboard.across.meaning import compared_columns
from robench.leaderboard.across.ranks import MeanRanks, mean_ranks
from robench.leaderboard.across.settings import different_settings
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.row import LeaderboardRow

COLUMNS = ("setting", "defense", "mean_rank")
"""Columns of the tables of a comparison that are no boards; a board may have such a name."""


@dataclass(frozen=True, eq=False)
class BoardComparison:
    """Several boards compared.

    Attributes:
        labels: their names, with their folders if two have one name.
        settings: which settings differ; see :func:`different_settings`.
        pairs: each further board compared with the first.
        ranks: the mean ranks over all; None if fewer than two rows have figures on all.
    """

    labels: tuple[str, ...]
    settings: pd.DataFrame
    pairs: tuple[Differences, ...]
    ranks: MeanRanks | None

    @property
    def figures(self) -> pd.DataFrame:
        """The lines of all pairs: see :attr:`Differences.figures`."""
        return pd.concat([pair.figures for pair in self.pairs], ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; data frames are left to the caller."""
        ranks = self.ranks
        return {
            "boards": list(self.labels),
            "settings": self.settings,
            "pairs": [
                {
                    "boards": list(pair.labels),
                    "differences": pair.figures,
                    "agreement": pair.agreement,
                    "not_compared": {name: list(both) for name, both in pair.other.items()},
                    "rows_of_one": [list(rows) for rows in pair.rows_of_one],
                    "columns_of_one": [list(names) for names in pair.columns_of_one],
                    "notes": list(pair.notes),
                }
                for pair in self.pairs
            ],
            "ranks": ranks
            and {
                "table": ranks.table,
                "columns": ranks.columns,
                "friedman_p": None if len(ranks.table) == 2 or np.isnan(ranks.p) else ranks.p,
                "sign_test_p": ranks.p if len(ranks.table) == 2 else None,
                "critical_difference": ranks.critical or None,
                "groups": [[ranks.table["defense"][i] for i in group] for group in ranks.groups],
                "notes": list(ranks.notes),
            },
        }


def compare_boards(boards: Sequence[Leaderboard]) -> BoardComparison:
    """Compare boards: each with the first, and the ranks of the rows that all of them have.

    Raises:
        UserError: if there are fewer than two, one is named twice, a board has no row in common
            with the first, none of their figures can be compared, or outcomes are missing or
            damaged.
    """
    if len(boards) < 2:
        raise UserError("a comparison needs two boards or more; name the folders of both.")
    folders = [board.folder.resolve() for board in boards]
    for folder, times in Counter(folders).items():
        if times > 1:
            raise UserError(f"{folder.name} is named twice; compare it with another board.")
    labels = _labels(boards)
    pairs = []
    for board, label in zip(boards[1:], labels[1:], strict=True):
        _check_rows(boards[0], board, (labels[0], label))
        pair = differences(boards[0], board, (labels[0], label))
        if pair.figures.empty:
            raise UserError(
                f"no row has figures in a column that means the same in {labels[0]} and in {label}."
            )
        pairs.append(pair)
    titles = [{row.title for row in board.result.rows} for board in boards]
    rows = [row.title for row in boards[0].result.rows if all(row.title in t for t in titles)]
    return BoardComparison(
        tuple(labels), different_settings(boards, labels, rows), tuple(pairs),
        _ranks(boards, labels),
    )  # fmt: skip


def _labels(boards: Sequence[Leaderboard]) -> list[str]:
    """Return the names of boards, which are columns of tables beside :data:`COLUMNS`."""
    names = Counter(board.name for board in boards)
    found: list[str] = []
    for board in boards:
        label = board.name if names[board.name] == 1 else str(board.folder)
        while label in (*COLUMNS, *found):
            label = f"{label} (board)"
        found.append(label)
    return found


def _check_rows(first: Leaderboard, second: Leaderboard, labels: tuple[str, str]) -> None:
    ours, theirs = ([row.title for row in board.result.rows] for board in (first, second))
    if not set(ours) & set(theirs):
        raise UserError(
            f"{labels[0]} and {labels[1]} have no row in common: one has "
            f"{shortened(', '.join(ours))}, the other {shortened(', '.join(theirs))}; rows are "
            f"matched by their titles."
        )


def _ranks(boards: Sequence[Leaderboard], labels: Sequence[str]) -> MeanRanks | None:
    """Rank by the first board's column if all boards have it, else each by its own."""
    wanted = boards[0].board.evaluation.ranking_column
    everywhere = all(wanted in compared_columns(board) for board in boards)
    columns = {
        label: wanted if everywhere else board.board.evaluation.ranking_column
        for label, board in zip(labels, boards, strict=True)
    }
    accuracies = {
        label: _accuracies(board, columns[label])
        for label, board in zip(labels, boards, strict=True)
    }
    images = {cell.file.cell.data_hash for board in boards for cell in board.cells}
    found = mean_ranks(accuracies, columns, same_images=len(images) == 1)
    note = _extent(boards, columns)
    return replace(found, notes=(*found.notes, note)) if found and note else found


def _extent(boards: Sequence[Leaderboard], columns: Mapping[str, str]) -> str:
    """Return over how many images each board ranks; "" if they are as many on all.

    The differences are on the images that two boards have in common, and may order rows otherwise.
    """
    sizes: dict[str, int] = {}
    for board, (label, column) in zip(boards, columns.items(), strict=True):
        rows = (LeaderboardRow(board.result, row) for row in board.result.rows)
        if found := [row.images(column) for row in rows if not row.diverged]:
            sizes[label] = min(found)
    if len(set(sizes.values())) < 2:
        return ""
    each = ", ".join(f"{size:,} in {label}" for label, size in sizes.items())
    return f"Each board ranks over all of its images: {each}."


def _accuracies(board: Leaderboard, column: str) -> dict[str, float]:
    rows = (LeaderboardRow(board.result, row) for row in board.result.rows)
    found = {row.row.title: row.evaluated[column].accuracy.mean for row in rows if not row.diverged}
    return {title: mean for title, mean in found.items() if not np.isnan(mean)}
