"""Forgeries for the tests: an edited folder whose hashes, tables and checksums agree again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from published_board import Published

from robench.board.specs import PUBLISHED
from robench.board.writing import board_text
from robench.evaluation import Outcomes
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.evidence import (
    COMPARISONS,
    TABLE,
    TOML,
    CellFile,
    outcome_path,
    read_sums,
    write_sums,
)
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.sources import source_hash
from robench.system.files import write_json, write_text
from robench.system.json_files import read_json
from robench.system.provenance import file_hash

Edit = Callable[[dict[str, Any]], object]
"""Changes the values of a JSON file in place."""


def forge(
    published: Published, edit: Edit, of: str = "manifests/batch*", every: bool = False
) -> None:
    """Edit manifests (one, or all that match) or ``board.json``; make all else agree with them."""
    paths = sorted(published.folder.glob(of))
    for path in paths if every else paths[:1]:
        values = json.loads(path.read_text())
        edit(values)
        path.write_text(json.dumps(values))
    made_consistent(published.folder)


def made_consistent(folder: Path, *, tables: bool = True) -> Path:
    """Make all hashes, tables and checksums of an edited folder agree, with robench's own code.

    Args:
        folder: the folder of a published board or submission.
        tables: whether the tables are computed anew; not where the outcomes yield none.
    """
    for path in sorted(folder.glob("manifests/*.json")):
        _hash_cell(path, folder)
    _sum_up(folder)
    if (folder / TOML).exists():
        write_text(folder / TOML, board_text(Leaderboard.read(folder).board))
        _sum_up(folder)
    if tables:
        result = Leaderboard.read(folder).result
        comparison = compare_rows(result)
        table = leaderboard(result, comparison)
        made = {TABLE: table, COMPARISONS: comparison.pairs, **derived_tables(result, table)}
        for name, found in made.items():
            write_text(folder / name, to_csv(found))
        _sum_up(folder)
    return folder


def _hash_cell(path: Path, folder: Path) -> None:
    values = read_json(path)
    key = CellFile.model_validate(values, context=PUBLISHED).cell.key
    manifest = values["manifest"]
    if manifest is None:
        return
    before, manifest["specification"] = manifest["specification"], key
    for kind in ("outcomes/{}", "weights/{}.safetensors"):
        old, new = folder / kind.format(before), folder / kind.format(key)
        if old != new and old.exists():
            old.rename(new)
    for name, entry in manifest["outcomes"].items():
        entry["outcomes_hash"] = file_hash(outcome_path(folder, key, name))
    write_json(path, values)


def _sum_up(folder: Path) -> None:
    """Sum up what was listed, and what belongs to cells; a page has no checksum."""
    listed, own = read_sums(folder), ("manifests", "outcomes", "weights", "sources")
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    kept = [name for name in files if name in listed or name.startswith(own)]
    write_sums(folder, [folder / name for name in kept])


def outcome_file(folder: Path, row: str, column: str) -> Path:
    """Return the file of a row's outcomes, of its first seed."""
    cell = next(cell for cell in Leaderboard.read(folder).cells if cell.row == row)
    assert cell.file.manifest is not None
    entries = cell.file.manifest.outcomes.items()
    return cell.path_of(next(key for key, entry in entries if entry.column == column))


def edit_outcomes(folder: Path, row: str, column: str, **arrays: np.ndarray) -> None:
    """Replace arrays of a row's outcomes."""
    path = outcome_file(folder, row, column)
    replace(Outcomes.load(path), **arrays).save(path)


def cut(folder: Path, row: str, column: str, rows: slice | list[int]) -> None:
    """Keep only some images of a row's outcomes."""
    path = outcome_file(folder, row, column)
    kept = {name: array[rows] for name, array in vars(Outcomes.load(path)).items()}
    Outcomes(**kept).save(path)


def rename_attack(folder: Path, old: str, new: str, *, brings: str | None = None) -> None:
    """Give an attack of a board another name, in its files as well; bring code for it, or not.

    Args:
        folder: the folder of the board.
        old: its column.
        new: the column to have instead.
        brings: the name that its code registers, which is never run; None for no code.
    """
    for path in (folder / "board.json", *folder.glob("manifests/*")):
        path.write_text(path.read_text().replace(f'"{old}"', f'"{new}"'))
    if brings is None:
        return
    code = folder / f"sources/{brings}/{brings}.py"
    code.parent.mkdir(parents=True)
    code.write_text("raise RuntimeError\n")
    board = read_json(folder / "board.json")
    board["sources"] = [{"entry": f"attack {brings}", "file": f"{brings}/{brings}.py"}]
    write_json(folder / "board.json", board)
    for path in folder.glob("manifests/*"):
        values = read_json(path)
        for entry in values["manifest"]["outcomes"].values():
            if entry["column"] == new:
                entry["source"] = source_hash(code)
        write_json(path, values)
