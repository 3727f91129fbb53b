"""The files of a published leaderboard: names, schemas and checksums.

board.json                    the specification as it was run
leaderboard.csv               one row per defense
comparisons.csv               one row per pair of defenses
curves.csv, spectra.csv, paper.csv, paper_order.csv
                              if there is such evidence, see robench.leaderboard.derived
manifests/ROW-seedN.json      one file per cell: specification, versions, hashes, times, checks
outcomes/CELL/KEY.npz         the outcome of each sample, one file per cell and column
challenges/CELL/HASH.npz      adversarial images that others found, if there are any
weights/CELL.safetensors      weights, if the board publishes them; else the manifest has their hash
sources/NAME-HASH/*.py        the code of entries that do not come with robench
board.toml                    the board as a file that 'robench run' takes
SHA256SUMS                    checksums of all of these; `sha256sum -c SHA256SUMS` reads it as well
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from robench.board.board import Board
from robench.board.limits import FolderName
from robench.board.sources import quoted
from robench.board.specs import Spec
from robench.errors import UserError, question, shortened
from robench.models.complexity import Complexity
from robench.runs.records import EvaluatedColumn, Evidence
from robench.system.files import write_text
from robench.system.reading import DOCUMENT_BYTES, MIB, Refused, is_transient, read_text, sha256_of

BOARD, TABLE, COMPARISONS, SUMS = "board.json", "leaderboard.csv", "comparisons.csv", "SHA256SUMS"
TOML, SOURCES, PAGE = "board.toml", "sources", "page.html"
UNFINISHED = f"{SUMS}.unfinished"
"""Takes the place of ``SHA256SUMS`` while files are replaced; a run that was killed leaves it."""

WEIGHTS_BYTES = 4096 * MIB
"""Largest size of a file of weights: those of a network with a billion float32 weights."""

FILE_BYTES = 256 * MIB
"""Largest size of any other file."""


class SourceEntry(Spec):
    """An entry that does not come with robench, and where its code is.

    Attributes:
        entry: its kind and name, such as ``defense my_norm``.
        file: the ``.py`` file that registers it, relative to ``sources/``. What it imports from
            beside it is there as well.
    """

    entry: str = Field(
        pattern=r"^(defense|attack|data set|backbone|check|training method) [a-z][a-z0-9_]{0,80}$"
    )
    file: str = Field(pattern=r"^[\w-]+(/[\w-]+)+\.py$", max_length=400)

    @property
    def words(self) -> str:
        """The entry in a sentence: ``defense 'my_norm'``."""
        return quoted(self.entry)


class BoardFile(Spec):
    """``board.json``: what the cells have in common."""

    schema_version: Literal[1] = 1
    name: FolderName
    dataset: FolderName
    columns: dict[str, EvaluatedColumn]
    board: Board
    sources: tuple[SourceEntry, ...] = ()

    @model_serializer(mode="wrap")
    def _without_what_came_later(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the form of boards that have no sources, corruptions and certificates."""
        values: dict[str, Any] = serialize(self)
        if not self.sources:
            del values["sources"]
        for column in values["columns"].values():
            for later in ("corrupts", "proves"):
                if not column[later]:
                    del column[later]
        return values


class CellFile(Evidence):
    """``manifests/*.json``: a cell, the row that it belongs to, and its network's complexity."""

    schema_version: Literal[1] = 1
    row: str
    costs: Complexity

    @model_validator(mode="after")
    def _evaluated_or_diverged(self) -> Self:
        if (self.manifest is None) is (self.diverged is None):
            wrong = "not both" if self.manifest else "and this one has neither"
            raise ValueError(f"a cell has a manifest or the reason why it diverged, {wrong}")
        return self


def outcome_path(folder: Path, cell_key: str, key: str) -> Path:
    """Return the path of the outcomes of a cell and column; both keys must have been checked."""
    return folder / "outcomes" / cell_key / f"{key}.npz"


def file_name(title: str, seed: int, names: set[str]) -> str:
    """Return a unique name for the manifest of a cell, and add it to the names that are taken.

    Titles that differ only in punctuation get a number.
    """
    slug = "".join(c if c.isalnum() else "_" for c in title).strip("_")[:60] or "row"
    number, name = 1, f"{slug}-seed{seed}.json"
    while name.casefold() in names:
        number += 1
        name = f"{slug}-{number}-seed{seed}.json"
    names.add(name.casefold())
    return name


def weights_name(cell_key: str) -> str:
    """Return the name of a cell's weights in a leaderboard's folder."""
    return f"weights/{cell_key}.safetensors"


def write_sums(folder: Path, files: Iterable[Path]) -> None:
    """Write ``SHA256SUMS`` for files below ``folder``.

    Raises:
        UserError: if one of them has vanished, as when two runs publish into one folder.
    """
    lines = sorted((path.relative_to(folder).as_posix(), _sum(path)) for path in files)
    for name, digest in lines:
        if not digest:
            raise UserError(
                f"{folder / name} has vanished: another run publishes there; run this one again "
                f"alone."
            )
    write_text(folder / SUMS, sums_text(dict(lines)))


def sums_text(sums: Mapping[str, str]) -> str:
    """Return the text of ``SHA256SUMS``, given relative path -> SHA-256."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def was_run(folder: Path) -> bool:
    """Return whether a leaderboard was published into a folder, even if it is damaged now."""
    return any((folder / name).exists() for name in (BOARD, TABLE, COMPARISONS, SUMS))


def read_sums(folder: Path, file: str = SUMS) -> dict[str, str]:
    """Return relative path -> SHA-256, as listed in ``SHA256SUMS``.

    Args:
        folder: the folder of the leaderboard.
        file: the name of the list in it.

    Raises:
        UserError: if it is missing or damaged, or names a file outside the folder.
    """
    try:
        text = read_text(folder / file, longest=DOCUMENT_BYTES, inside=folder)
    except Refused as error:
        raise _not_published(folder, error) from error
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, _, name = line.partition("  ")
        path = Path(name)
        if not _LINE.fullmatch(line) or path.is_absolute() or ".." in path.parts:
            raise UserError(
                f"{folder / file}, line {number}: '{shortened(line)}' is not a checksum."
            )
        if name in sums:
            raise UserError(f"{folder / file}, line {number}: '{shortened(name)}' is listed twice.")
        sums[name] = digest
    return sums


_LINE = re.compile(r"[0-9a-f]{64}  [^\x00-\x1f\x7f]{1,400}")


def _not_published(folder: Path, error: Refused) -> UserError:
    """Return why a folder has no list of checksums that can be read."""
    if not folder.is_dir():
        return UserError(f"{no_folder(folder)}; {name_a_leaderboard(folder)}")
    if (folder / UNFINISHED).is_file():
        return UserError(
            f"{folder} is not complete: robench is publishing it, or was stopped while it did; "
            f"wait for it, or run the same command again."
        )
    if (folder / SUMS).exists():
        return error
    if any((folder / name).is_file() for name in (BOARD, TABLE)):
        return UserError(
            f"{folder} has lost its {SUMS}, so that its files cannot be held against anything; "
            f"fetch the leaderboard again, or run its board again."
        )
    if (folder / "board.toml").is_file():
        return UserError(
            f"the board {folder} was not run; name the folder that a run wrote with --out."
        )
    if inside := sorted(str(path.parent) for path in folder.glob(f"*/{SUMS}")):
        names = shortened(", ".join(inside), 300)
        return UserError(f"{folder} is not a leaderboard, but has some in it: {names}; name one.")
    return UserError(f"{folder} has no {SUMS}: it is not a folder that 'robench run' published.")


def name_a_leaderboard(folder: Path) -> str:
    """Return what to name instead of a folder that does not exist: one of its name, if it is here.

    Results are in ``runs`` unless a run was given another folder; those of robench in
    ``leaderboards``.
    """
    here = [home / folder.name for home in (Path("runs"), Path("leaderboards"))]
    near = [str(path) for path in here if path != folder and (path / SUMS).is_file()]
    if near:
        return question(near)
    return "name a leaderboard's folder, such as leaderboards/quick."


def no_folder(folder: Path) -> str:
    """Return what is at the path of a folder that is none."""
    if not os.path.lexists(folder):
        return f"there is no folder {folder}"
    return f"{folder} is {'a file' if folder.is_file() else 'something else'}, not a folder"


def broken_sums(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Return the files that are missing or whose bytes do not match their checksums.

    Among them is what no published folder has: something else than a plain file, a link that leads
    out of the folder, a file that is too large.
    """
    return [name for name, digest in sums.items() if _published_sum(folder, name) != digest]


def changed_notice(folder: Path) -> str | None:
    """Return a sentence if files are not as they were published, or None.

    Raises:
        UserError: if the checksums cannot be read.
    """
    broken = broken_sums(folder, read_sums(folder))
    if not broken:
        return None
    others = f", nor are {len(broken) - 1} others" if len(broken) > 1 else ""
    return (
        f"{folder / broken[0]} is not as it was published (checksum differs){others}: "
        f"'robench verify {folder}' says what changed."
    )


def unlisted(folder: Path, sums: Collection[str]) -> list[str]:
    """Return the files among the evidence that have no checksum; readers take no notice of them."""
    folders = ("manifests", "outcomes", "challenges", "weights")
    kinds = (*(f"{name}/**/*" for name in folders), f"{SOURCES}/**/*.py")
    there = {
        path.relative_to(folder).as_posix()
        for kind in kinds
        for path in folder.glob(kind)
        if path.is_symlink() or not path.is_dir()
    }
    return sorted(there.difference(sums))


def _published_sum(folder: Path, name: str) -> str:
    longest = WEIGHTS_BYTES if name.startswith("weights/") else FILE_BYTES
    try:
        return sha256_of(folder / name, longest=longest, inside=folder)
    except Refused as error:
        if is_transient(error):
            raise  # which says nothing of its content
        return ""


def _sum(path: Path) -> str:
    try:
        return sha256_of(path)
    except Refused as error:
        if is_transient(error):
            raise
        return ""
