"""Check a published leaderboard for consistency with its own artifacts; no model is run."""

import math
import tomllib
from collections.abc import Iterator
from typing import Any

import pandas as pd

from robench.board.board import Board
from robench.board.plan import resolve_row
from robench.board.specs import PUBLISHED, ExternalCell
from robench.errors import UserError
from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.derived import KEYS, derived_tables
from robench.leaderboard.evidence import TOML, broken_sums, read_sums
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.sources import other_attack, other_source
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.leaderboard.trust import source_problems
from robench.system.provenance import file_hash


def audit(board: Leaderboard) -> list[str]:
    """Return the problems of a published board, one sentence each; empty if it is consistent.

    The audit compares the bytes of all files with their checksums; specifications with their hashes
    and with the board; the code of entries with the hashes in the specifications; outcomes with the
    hashes in the manifests; and every figure of ``leaderboard.csv`` and ``comparisons.csv`` with
    the value computed from the outcomes.

    Raises:
        UserError: if outcomes or tables cannot be read at all.
    """
    sums = read_sums(board.folder)
    found = [f"{name} is not as {board.folder.name} was published (checksum differs)."
             for name in broken_sums(board.folder, sums)]  # fmt: skip
    if TOML in sums and not _is_same_board(board):
        found.append(f"{TOML} is not the board of board.json.")
    found += source_problems(board)
    found += [problem for cell in board.cells for problem in _cell_problems(cell)]
    found += _plan_problems(board)
    if any("outcomes" in problem for problem in found):
        return found  # every figure computed from them would be reported as well
    comparison = compare_rows(board.result)
    table = leaderboard(board.result, comparison)
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


def _is_same_board(board: Leaderboard) -> bool:
    try:
        values = tomllib.loads((board.folder / TOML).read_bytes().decode())
        return Board.model_validate(values, context=PUBLISHED) == board.board
    except (OSError, ValueError, RecursionError):
        return False


def _cell_problems(cell: PublishedCell) -> Iterator[str]:
    name = f"'{cell.row}', seed {cell.seed}"
    manifest = cell.file.manifest
    if (manifest is None) == (cell.file.diverged is None):
        yield f"{name}: its manifest must say either how it was produced or that it diverged."
    if manifest is None:
        return
    if manifest.specification != cell.file.cell.key:
        yield (
            f"{name}: the specification has the hash {cell.file.cell.key}, but the manifest "
            f"belongs to {manifest.specification}."
        )
    if manifest.data_hash != cell.file.cell.data_hash:
        yield f"{name}: specification and manifest name different data."
    spec = cell.file.cell
    if isinstance(spec, ExternalCell) and spec.weights_hash != manifest.weights_hash:
        yield f"{name}: specification and manifest name different weights."
    for key, entry in manifest.outcomes.items():
        path = cell.path_of(key)
        if not path.is_file():
            yield f"{name}: the outcomes of {entry.column} are missing."
        elif file_hash(path) != entry.outcomes_hash:
            yield f"{name}: the outcomes of {entry.column} are not those of the manifest."
        if entry.column != "clean" and other_attack(entry.column, entry.source):
            yield f"{name}: the source of the attack {entry.column} is not the one of its figures."


def _plan_problems(board: Leaderboard) -> Iterator[str]:
    """Compare what was run with what the board specifies."""
    published = {(cell.row, cell.seed) for cell in board.cells}
    for title in board.board.titles:
        if title in board.board.external:
            if [cell.row for cell in board.cells].count(title) != 1:
                yield f"'{title}' is a third-party network and must have exactly one manifest."
            continue
        for seed in board.board.seeds:
            if (title, seed) not in published:
                yield f"'{title}', seed {seed}, is on the board but has no manifest."
    if len({cell.file.cell.data_hash for cell in board.cells}) > 1:
        yield "its rows were evaluated on different data."
    for cell in board.cells:
        if cell.row not in board.board.titles or cell.seed not in board.board.seeds:
            yield f"'{cell.row}', seed {cell.seed}, has a manifest but is not on the board."
        elif (wrong := _deviation(board.board, board.dataset, cell)) is not None:
            yield f"'{cell.row}', seed {cell.seed}: {wrong}"


def _deviation(board: Board, dataset: str, cell: PublishedCell) -> str | None:
    """Return how a cell's specification deviates from the board; None if equal or not known."""
    done = cell.file.cell
    if isinstance(done, ExternalCell) != (cell.row in board.external):
        return "it must be a third-party network in both its manifest and the board, or in neither."
    if isinstance(done, ExternalCell):
        planned_data = board.data.model_copy(update={"name": dataset})
        return None if done.data == planned_data else "its data are not those of the board."
    try:
        row = resolve_row(board, cell.row)
    except UserError:
        return None  # an entry of a plugin that is not loaded: its recipe is not known here
    if (wrong := other_source(done, row.entries, _python(cell))) is not None:
        return wrong
    (planned,) = row.cells([cell.seed], dataset, done.data_hash)
    for name, value in planned.model_dump(exclude=_OF_SOURCES).items():
        if (other := done.model_dump()[name]) != value:
            return f"its {name} is {other}, but the board says {value}."
    return None


_OF_SOURCES = {"plugin_hash", "sources", "version"}


def _python(cell: PublishedCell) -> str:
    """Return the version of Python that a cell was trained with, or ""."""
    return cell.file.manifest.environment.get("python", "") if cell.file.manifest else ""


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
