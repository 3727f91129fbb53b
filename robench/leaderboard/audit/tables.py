"""Compare published tables with those that the evidence yields."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd

from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.derived import KEYS, ORDER, PAPER, derived_tables
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard, to_csv

Row = tuple[Any, ...]
"""The values that identify a row of a table."""

P_VALUES = ("p", "p_holm")
"""Columns in which a tiny number is not the same as none."""

BOOTSTRAP = (
    "comparisons.csv is by the bootstrap of earlier versions, which is too sure with few seeds; "
    "'robench merge LEADERBOARD --out NEW' compares the rows again."
)
"""What has changed with boards of several seeds; the differences follow from it."""

UNORDERED = (PAPER, ORDER)
"""Tables in the order of the paper's figures in the board's file, which ``board.json`` sorts."""


def table_problems(board: Leaderboard) -> list[str]:
    """Return where the tables of a board differ from its evidence, one sentence each.

    Raises:
        UserError: if outcomes or tables cannot be read at all.
    """
    comparison = compare_rows(board.result)
    table = leaderboard(board.result, comparison)
    found = [BOOTSTRAP] if (board.comparisons["method"] == "bootstrap").any() else []
    found += _differences("leaderboard.csv", board.table, table, ["defense"])
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
    there, wanted = _keys(published, key), _keys(made, key)
    if found := [*_repeated(file, there, wanted)]:
        return found
    if there != wanted and Counter(there) == Counter(wanted) and file not in UNORDERED:
        at = next(i for i, pair in enumerate(zip(there, wanted, strict=True)) if pair[0] != pair[1])
        found.append(
            f"{file} has its rows in another order than its outcomes yield: row {at + 1} is "
            f"{_quoted(there[at])}, not {_quoted(wanted[at])}."
        )
    one, other = _by(published, there), _by(made, wanted)
    found += [
        f"{file} has the row {_quoted(row)}, which has no manifest." for row in one - other.keys()
    ]
    found += [f"{file} lacks the row {_quoted(row)}." for row in other.keys() - one.keys()]
    for row in [row for row in one if row in other]:
        for name, value in other[row].items():
            if not _same(one[row][name], value, exact=name in P_VALUES):
                found.append(
                    f"{file}, row {_quoted(row)}, column {name}: it says {one[row][name]}, "
                    f"but its outcomes give {value}."
                )
    return found


def _repeated(file: str, there: list[Row], wanted: list[Row]) -> Iterator[str]:
    """Yield the rows that a table has more often than its outcomes yield."""
    once = Counter(wanted)
    for row, count in Counter(there).items():
        if count > max(1, once[row]):
            yield f"{file} has the row {_quoted(row)} {count} times."


def _keys(table: pd.DataFrame, key: list[str]) -> list[Row]:
    return [tuple(row[k] for k in key) for row in table[key].to_dict("records")]


def _by(table: pd.DataFrame, keys: list[Row]) -> dict[Row, dict[Any, Any]]:
    return dict(zip(keys, table.to_dict("records"), strict=True))


def _quoted(row: Row) -> str:
    return "'" + ", ".join(map(str, row)) + "'"


def _same(one: Any, other: Any, *, exact: bool) -> bool:
    if not (isinstance(one, float) and isinstance(other, float)):
        return bool(one == other)
    # Another machine may round the sixth digit differently.
    close = math.isclose(one, other, rel_tol=2e-6, abs_tol=0.0 if exact else 1e-9)
    return close or (math.isnan(one) and math.isnan(other))
