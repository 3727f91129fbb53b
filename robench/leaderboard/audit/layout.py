"""Compare the names of a board's files with those that a published board has."""

import re
from collections.abc import Collection, Iterator

from robench.errors import shortened
from robench.leaderboard.derived import KEYS
from robench.leaderboard.evidence import BOARD, COMPARISONS, SOURCES, SUMS, TABLE, TOML
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission_readme import README

_TOP = frozenset({BOARD, TABLE, COMPARISONS, TOML, README, *KEYS})
_OF_CELL = re.compile(r"challenges/(\w+)/\w+\.npz|weights/(\w+)\.safetensors")
_KINDS = ("manifests/", "outcomes/", "model/", f"{SOURCES}/")


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
    keys = {cell.file.cell.key for cell in board.cells}
    for name in sorted(sums):
        if not _belongs(name, keys):
            yield f"{shortened(name)} is listed in {SUMS}, and belongs to no part of the board."


def _belongs(name: str, keys: Collection[str]) -> bool:
    if name in _TOP or name.startswith(_KINDS):  # each of them is compared with what needs it
        return True
    match = _OF_CELL.fullmatch(name)
    return match is not None and (match[1] or match[2]) in keys
