"""Compare published tables with those that the evidence yields."""

import math
from typing import Any

import pandas as pd

from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.derived import KEYS, derived_tables
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard, to_csv


def table_problems(board: Leaderboard) -> list[str]:
    """Return where the tables of a board differ from its evidence, one sentence each.

    Raises:
        UserError: if outcomes or tables cannot be read at all.
    """
    comparison = compare_rows(board.result)
    table = leaderboard(board.result, comparison)
    found = _differences("leaderboard.csv", board.table, table, ["defense"])
    pairs = ["column", "first", "second"]
    found += _differences("comparisons.csv", board.comparisons, comparison.pairs, pairs)
    made = derived_tables(board.result, table)
    for name, key in KEYS.items():
        published = board.derived.get(name)
        if published is not None and name in made:
            found += _differences(name, published, made[name], key)
        elif published is not None:
            found.append(f"{name} is published, but the evidence does not yield this table.")
        elif name in made:
            found.append(f"{name} is missing, although the evidence yields it.")
    return found


def _differences(
    file: str, published: pd.DataFrame, made: pd.DataFrame, key: list[str]
) -> list[str]:
    """Compare two tables as stored in their files: figures to six digits."""
    made = read_csv(to_csv(made), file)
    if list(published.columns) != list(made.columns):
        odd = sorted(set(published.columns) ^ set(made.columns)) or ["their order"]
        return [f"{file} has other columns than its outcomes yield: {', '.join(odd[:5])}."]
    one, other = _by(published, key), _by(made, key)
    found = [
        f"{file} has the row {_quoted(row)}, which has no manifest." for row in one - other.keys()
    ]
    found += [f"{file} lacks the row {_quoted(row)}." for row in other.keys() - one.keys()]
    for row in [row for row in one if row in other]:
        for name, value in other[row].items():
            if not _same(one[row][name], value):
                found.append(
                    f"{file}, row {_quoted(row)}, column {name}: it says {one[row][name]}, "
                    f"but its outcomes give {value}."
                )
    return found


def _by(table: pd.DataFrame, key: list[str]) -> dict[tuple[Any, ...], dict[Any, Any]]:
    return {tuple(row[k] for k in key): row for row in table.to_dict("records")}


def _quoted(row: tuple[Any, ...]) -> str:
    return "'" + ", ".join(map(str, row)) + "'"


def _same(one: Any, other: Any) -> bool:
    if not (isinstance(one, float) and isinstance(other, float)):
        return bool(one == other)
    # Another machine may round the sixth digit differently.
    close = math.isclose(one, other, rel_tol=2e-6, abs_tol=1e-9)
    return close or (math.isnan(one) and math.isnan(other))
