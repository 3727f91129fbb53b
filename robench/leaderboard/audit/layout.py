"""Compare the names of a board's files with those that a published board has."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from robench.errors import shortened
from robench.leaderboard.derived import KEYS
from robench.leaderboard.evidence import (
    BOARD,
    COMPARISONS,
    SOURCES,
    SUMS,
    TABLE,
    TOML,
    file_name,
)
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission_readme import README
from robench.system.json_files import read_json

_TOP = frozenset({BOARD, TABLE, COMPARISONS, TOML, README, *KEYS})
_OF_CELL = re.compile(r"challenges/(\w+)/\w+\.npz|weights/(\w+)\.safetensors")
_KINDS = ("outcomes/", "model/", f"{SOURCES}/")
_MANIFESTS = "manifests/"


def layout_problems(board: Leaderboard, sums: Collection[str]) -> Iterator[str]:
    """Yield which tables have no checksum, and which checksums are of no part, a sentence each.

    A checksum tells a reader that a file is evidence; a page or a text that somebody adds is none.

    Args:
        board: the board as read.
        sums: the names in its ``SHA256SUMS``.
    """
    tables = {path.name for path in board.folder.glob("*.csv")}
    for name in sorted(tables.difference(sums)):
        yield f"{name} is not in {SUMS}."
    yield from _links(board.folder)
    keys = {cell.file.cell.key for cell in board.cells}
    manifests = _manifests(board)
    for name in sorted(sums):
        if not _belongs(name, keys) and name not in manifests:
            yield f"{shortened(name)} is listed in {SUMS}, and belongs to no part of the board."
    for name, (title, seed) in manifests.items():
        if name in sums and _cell_of(board.folder / name) != (title, seed):
            yield f"{shortened(name)} is not the manifest of '{title}', seed {seed}."


def _links(folder: Path) -> Iterator[str]:
    """Yield which folders are links: what is written below them goes elsewhere."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and path.is_dir():
            name = path.relative_to(folder).as_posix()
            yield f"{shortened(name)} is a link to another folder; a board has its files itself."


def _manifests(board: Leaderboard) -> dict[str, tuple[str, int]]:
    """Return the names of the manifests, as they are given when a board is published."""
    taken: set[str] = set()
    return {
        f"{_MANIFESTS}{file_name(cell.row, cell.seed, taken)}": (cell.row, cell.seed)
        for cell in board.cells
    }


def _cell_of(path: Path) -> tuple[object, object]:
    """Return row and seed that a manifest states."""
    values = read_json(path)
    return values["row"], values["cell"]["seed"]


def _belongs(name: str, keys: Collection[str]) -> bool:
    if name in _TOP or name.startswith(_KINDS):  # each of them is compared with what needs it
        return True
    match = _OF_CELL.fullmatch(name)
    return match is not None and (match[1] or match[2]) in keys
