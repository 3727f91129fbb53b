"""Build the leaderboard from finished cells: one tidy row per defense, fixed column order."""

from typing import Any

import pandas as pd

from robench.leaderboard.column_types import Column, Entry, PerAttack, RelativeColumn
from robench.leaderboard.columns import columns_of_table
from robench.leaderboard.comparison import Comparison, compare
from robench.leaderboard.row import LeaderboardRow, parts
from robench.leaderboard.safe_csv import to_safe_csv
from robench.runs.records import BoardResult


def compare_rows(result: BoardResult) -> Comparison:
    """Compare the rows by the board's ranking column; a row with a diverged seed is left out."""
    column = result.board.evaluation.ranking_column
    rows = [LeaderboardRow(result, row) for row in result.rows]
    compared = compare(
        {row.row.title: row.hits(column) for row in rows if not row.diverged},
        len(parts(result.columns, column)),
    )
    compared.pairs.insert(0, "column", column)
    return compared


def leaderboard(result: BoardResult, comparison: Comparison) -> pd.DataFrame:
    """Build the table, best first by the board's ranking column.

    Its columns are those of :data:`robench.leaderboard.columns.COLUMNS`. Accuracies and their
    intervals are fractions in [0, 1]. A row with a diverged seed has no figures, is flagged and
    comes last.

    Args:
        result: the finished board.
        comparison: the comparison of its rows.
    """
    columns = list(columns_of_table(result))
    table = pd.DataFrame([_row(LeaderboardRow(result, row), columns) for row in result.rows])
    relative = {
        name: entry.value(table, result, comparison)
        for name, entry, _ in columns
        if isinstance(entry, RelativeColumn)
    }
    table = table.assign(**relative)[[name for name, _, _ in columns]]
    return table.sort_values(["rank", "defense"], kind="stable", ignore_index=True)


def to_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV text: figures to six digits, an empty field for a missing figure.

    Text that a spreadsheet would execute as a formula begins with an apostrophe.
    """
    return to_safe_csv(table)


def _row(row: LeaderboardRow, columns: list[tuple[str, Entry, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, entry, evaluated in columns:
        if isinstance(entry, PerAttack):
            values[name] = entry.value(row.evaluated[evaluated])
        elif isinstance(entry, Column):
            values[name] = entry.value(row)
    return values
