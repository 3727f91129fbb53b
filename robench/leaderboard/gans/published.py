"""Read a published board of GANs back: its specification, and the evidence of each GAN."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import ValidationError

from robench.board.explain import explain
from robench.board.specs import Spec
from robench.errors import UserError, shortened
from robench.gan.board import GanBoard
from robench.gan.metrics.extractors import EXTRACTORS
from robench.gan.symptoms import LogRow
from robench.leaderboard.evidence import BOARD, FILE_BYTES, SourceEntry, read_sums
from robench.leaderboard.gans.files import (
    KIND,
    MANIFEST,
    GanBoardFile,
    GanCellFile,
    GanEvidence,
    log_name,
    read_log,
    stems,
)
from robench.leaderboard.gans.table import TEXT, tables
from robench.leaderboard.safe_csv import read_safe_csv
from robench.system.json_files import read_json
from robench.system.reading import DOCUMENT_BYTES, read_text

Form = TypeVar("Form", bound=Spec)


def holds_gans(folder: Path) -> bool:
    """Return whether a folder holds a published board of GANs; damaged ones count as none."""
    try:
        values = read_json(folder / BOARD, inside=folder)
    except UserError:
        return False
    return isinstance(values, dict) and values.get("kind") == KIND


def _check_head(folder: Path, head: GanBoardFile) -> None:
    """Check that the parts of ``board.json`` belong together.

    Raises:
        UserError: if they do not.
    """
    named, called = head.board.measure.extractor, head.extractor
    if named != called and (named in EXTRACTORS or called in EXTRACTORS):
        raise UserError(
            f"{folder / BOARD}: the board measures by '{shortened(named)}', and figures are called "
            f"after '{called}'; publish it again."
        )
    for row, figures in (head.board.paper.figures if head.board.paper else {}).items():
        for column in figures:
            if column not in head.board.columns(called):
                raise UserError(
                    f"{folder / BOARD}: paper.figures of '{shortened(row)}' has "
                    f"'{shortened(column)}', which is not a column; publish it again."
                )


@dataclass(frozen=True, eq=False)
class GanLeaderboard:
    """A board of GANs as it was published.

    Attributes:
        name: the name of the board.
        folder: its folder.
        board: the specification.
        extractor: what distances are called after.
        evidence: all its GANs, by row and seed.
        sums: the files that are listed, and their checksums.
        sources: the entries whose code is in the folder, since they do not come with robench.
    """

    name: str
    folder: Path
    board: GanBoard
    extractor: str
    evidence: tuple[GanEvidence, ...]
    sums: dict[str, str]
    sources: tuple[SourceEntry, ...] = ()

    @classmethod
    def read(cls, folder: str | Path) -> "GanLeaderboard":
        """Read the folder that ``robench run`` published; nothing in it is executed.

        Raises:
            UserError: if a file is missing or malformed, or a GAN of the board is; the message
                names it.
        """
        folder = Path(folder)
        sums = read_sums(folder)
        head = _read(folder, BOARD, GanBoardFile)
        _check_head(folder, head)
        names = stems(head.board)
        listed = {name for name in sums if MANIFEST.fullmatch(name)}
        planned = {f"manifests/{stem}.json" for stem in names.values()}
        _refuse(folder, sorted(planned - listed), "is missing")
        _refuse(folder, sorted(listed - planned), "is of no GAN of the board")
        evidence = []
        for (title, seed), stem in names.items():
            file = _read(folder, f"manifests/{stem}.json", GanCellFile)
            if (file.row, file.cell.seed) != (title, seed):
                raise UserError(
                    f"{folder / 'manifests' / stem}.json is of '{shortened(file.row)}', seed "
                    f"{file.cell.seed}, and not of '{shortened(title)}', seed {seed}."
                )
            evidence.append(GanEvidence(stem, file, _log(folder, file, sums)))
        if read_sums(folder) != sums:
            raise UserError(
                f"{folder} changed while it was read: another robench publishes there; run this "
                f"command again."
            )
        found = cls(
            head.name, folder, head.board, head.extractor, tuple(evidence), sums, head.sources
        )
        found.check_measured()
        return found

    def check_measured(self) -> None:
        """Check that each trained GAN has the metrics that the tables are made of.

        Raises:
            UserError: if not.
        """
        columns = self.board.columns(self.extractor)
        protocols = self.board.measure.protocols
        for one in self.evidence:
            if one.file.manifest is None:
                continue
            found = {
                protocol.column(metric)
                for protocol, measured in zip(protocols, one.file.measured, strict=False)
                for metric in measured.metrics
            }
            if missing := [name for name in columns if name not in found]:
                raise UserError(
                    f"{self.folder}: {one.name} has no figure of {missing[0]}; publish it again."
                )

    @cached_property
    def computed(self) -> dict[str, pd.DataFrame]:
        """The tables, computed from the evidence."""
        return tables(self.board, self.extractor, self.evidence)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table as it was published.

        Raises:
            UserError: if it is missing or damaged.
        """
        path = self.folder / name
        text = read_text(path, longest=DOCUMENT_BYTES, inside=self.folder)
        return read_safe_csv(text, TEXT[name], str(path))


def _log(folder: Path, file: GanCellFile, sums: Iterable[str]) -> tuple[LogRow, ...]:
    name = log_name(file.cell.key)
    if file.manifest is None or name not in sums:
        return ()  # the audit says that it is missing
    text = read_text(folder / name, longest=FILE_BYTES, inside=folder)
    return read_log(text, str(folder / name))


def _refuse(folder: Path, names: list[str], what: str) -> None:
    if names:
        raise UserError(f"{folder / shortened(names[0])} {what}; publish the board again.")


def _read(folder: Path, name: str, form: type[Form]) -> Form:
    values = read_json(folder / name, inside=folder)
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{folder / name}: {explain(error, form)}") from None
