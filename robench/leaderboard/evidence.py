"""The files of a published leaderboard: their names, their forms, their checksums.

board.json                    the specification as it was run
leaderboard.csv               a row a defense
comparisons.csv               a row a pair of defenses
curves.csv, spectra.csv, paper.csv, paper_order.csv
                              where there is such evidence, see robench.leaderboard.derived
manifests/ROW-seedN.json      a file a cell: specification, versions, hashes, times, checks
outcomes/CELL/KEY.npz         what happened to each sample, a file a cell and column
SHA256SUMS                    of all of these; `sha256sum -c SHA256SUMS` reads it, too
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from robench.board.board import Board
from robench.board.specs import Spec
from robench.errors import UserError
from robench.models.complexity import Complexity
from robench.runs.records import EvaluatedColumn, Evidence
from robench.system.files import write_text

BOARD, TABLE, COMPARISONS, SUMS = "board.json", "leaderboard.csv", "comparisons.csv", "SHA256SUMS"


class BoardFile(Spec):
    """``board.json``: what the cells have in common."""

    schema_version: Literal[1] = 1
    name: str
    dataset: str
    columns: dict[str, EvaluatedColumn]
    board: Board


class CellFile(Evidence):
    """``manifests/*.json``: a cell, the row that it is in, and what its network costs."""

    schema_version: Literal[1] = 1
    row: str
    costs: Complexity


def outcome_path(folder: Path, cell_key: str, key: str) -> Path:
    """Return where the outcomes of a cell and column are; both keys must have been checked."""
    return folder / "outcomes" / cell_key / f"{key}.npz"


def write_sums(folder: Path, files: Iterable[Path]) -> None:
    """Write ``SHA256SUMS`` of files below ``folder``.

    Raises:
        UserError: where one of them is gone, as when two runs publish into one folder.
    """
    lines = sorted((path.relative_to(folder).as_posix(), _sum(path)) for path in files)
    for name, digest in lines:
        if not digest:
            raise UserError(
                f"{folder / name} is gone: another robench publishes there; run it again alone."
            )
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in lines))


def was_run(folder: Path) -> bool:
    """Return whether something was published into a folder, be it damaged since."""
    return any((folder / name).exists() for name in (BOARD, TABLE, COMPARISONS, SUMS))


def read_sums(folder: Path) -> dict[str, str]:
    """Return relative path -> sha256 as ``SHA256SUMS`` has them.

    Raises:
        UserError: where it is missing, damaged, or names a file outside the folder.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        if not folder.is_dir():
            raise UserError(
                f"there is no folder {folder}; name that of a leaderboard, as leaderboards/quick."
            ) from error
        if (folder / "board.toml").is_file():
            raise UserError(
                f"the board {folder} was not run; the leaderboard of a run is where its --out is."
            ) from error
        raise UserError(
            f"{folder} has no {SUMS}: it is not a folder that 'robench run' published."
        ) from error
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition("  ")
        path = Path(name)
        if len(digest) != 64 or not name or path.is_absolute() or ".." in path.parts:
            raise UserError(f"{folder / SUMS}, line {number}: '{line[:80]}' is no checksum.")
        sums[name] = digest
    return sums


def broken_sums(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Return the files that are missing or whose bytes are not those of the checksums."""
    return [name for name, digest in sums.items() if _sum(folder / name) != digest]


def _sum(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
