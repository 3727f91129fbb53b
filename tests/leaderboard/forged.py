"""Forge published folders as somebody would who has robench: every hash and table agrees again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from published_board import Published

from robench.board.writing import board_text
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.evidence import SUMS, TOML, read_sums, write_sums
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.runs.records import Evidence

Edit = Callable[[dict[str, Any]], object]
"""Changes the values of a JSON file in place."""


def forge(
    published: Published, edit: Edit, of: str = "manifests/batch*", every: bool = False
) -> None:
    """Edit manifests (one, or all that match) or ``board.json``; make all else agree with them."""
    folder = published.folder
    paths = sorted(folder.glob(of))
    for path in paths if every else paths[:1]:
        values = json.loads(path.read_text())
        edit(values)
        if "cell" in values:
            _rename(folder, values)
        path.write_text(json.dumps(values))
    make_tables(folder)


def make_tables(folder: Path) -> None:
    """Write all tables and checksums anew from manifests and outcomes."""
    files = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and p.name != SUMS}
    listed = set(map(Path, read_sums(folder)))
    kept = {p for p in files if p in listed or p.parts[0] == "outcomes"}
    write_sums(folder, [folder / path for path in kept])
    board = Leaderboard.read(folder)
    (folder / TOML).write_text(board_text(board.board))
    comparison = compare_rows(board.result)
    table = leaderboard(board.result, comparison)
    tables = {"leaderboard.csv": table, "comparisons.csv": comparison.pairs}
    tables |= derived_tables(board.result, table)
    for name, made in tables.items():
        (folder / name).write_bytes(to_csv(made).encode())
        kept.add(Path(name))
    write_sums(folder, [folder / path for path in kept])


def _rename(folder: Path, values: dict[str, Any]) -> None:
    """Give a cell the name that its specification has now."""
    manifest = values["manifest"]
    if manifest is None:
        return
    key = Evidence.model_validate({"cell": values["cell"]}, context={"published": True}).cell.key
    if key != manifest["specification"]:
        (folder / "outcomes" / manifest["specification"]).rename(folder / "outcomes" / key)
        manifest["specification"] = key
