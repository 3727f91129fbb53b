"""Read a published leaderboard back: the table, and everything that it was computed from."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import ValidationError

from robench.board.board import Board
from robench.board.explain import explain
from robench.board.ranking import check_threat_models
from robench.board.specs import PUBLISHED, Spec
from robench.errors import UserError, shortened
from robench.evaluation import Outcomes
from robench.leaderboard.challenge.files import FOLDER
from robench.leaderboard.columns import SCHEMA
from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.derived import KEYS
from robench.leaderboard.evidence import (
    BOARD,
    COMPARISONS,
    SUMS,
    TABLE,
    BoardFile,
    CellFile,
    SourceEntry,
    outcome_path,
    read_sums,
)
from robench.runs.records import BoardResult, CellResult, EvaluatedColumn, OutcomeFiles, RowResult
from robench.system.json_files import read_json
from robench.system.reading import DOCUMENT_BYTES, read_text

Form = TypeVar("Form", bound=Spec)


@dataclass(frozen=True, eq=False)
class PublishedCell:
    """A cell of a published board."""

    file: CellFile
    result: CellResult
    folder: Path

    @property
    def row(self) -> str:
        """The title of its row."""
        return self.file.row

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.file.cell.seed

    def path_of(self, key: str) -> Path:
        """Return the path of the outcomes with a key of the manifest."""
        return outcome_path(self.folder, self.file.cell.key, key)

    @property
    def specification(self) -> dict[str, Any]:
        """The specification of what was trained."""
        return self.file.cell.model_dump(mode="json")

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, hashes, device, times; empty if training diverged."""
        return self.file.manifest.model_dump(mode="json") if self.file.manifest else {}

    @property
    def training(self) -> list[dict[str, float | None]]:
        """One row per epoch."""
        return list(self.file.training)

    @property
    def checks(self) -> dict[str, Any] | None:
        """The report of the checks; None if they were left out."""
        return self.file.checks.model_dump(mode="json") if self.file.checks else None

    @property
    def outcomes(self) -> Mapping[str, Outcomes]:
        """Column -> outcomes, read from disk on each access."""
        return self.result.outcomes


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """A leaderboard as it was published.

    Attributes:
        name: the name of the board.
        folder: its folder.
        board: the specification.
        dataset: the data set's name.
        columns: the evaluated columns, ``clean`` first.
        cells: in the order of the board's rows.
        sources: the entries whose code is in the folder, since they do not come with robench.
    """

    name: str
    folder: Path
    board: Board
    dataset: str
    columns: Mapping[str, EvaluatedColumn]
    cells: tuple[PublishedCell, ...]
    sources: tuple[SourceEntry, ...] = ()

    def __repr__(self) -> str:
        rows, columns = len({cell.row for cell in self.cells}), ", ".join(self.columns)
        return f"<Leaderboard {self.name}: {rows} rows, {len(self.cells)} cells, {columns}>"

    @classmethod
    def read(cls, folder: str | Path) -> "Leaderboard":
        """Read the folder that ``robench run`` published.

        Nothing in it is executed. Its checksums are not compared: see ``robench verify``.

        Raises:
            UserError: if a file is missing or malformed; the message names file and key.
        """
        folder = Path(folder)
        names = read_sums(folder)
        refuse_gans(folder)
        head = _read(folder, BOARD, BoardFile)
        files = [
            _read(folder, name, CellFile) for name in sorted(names) if _MANIFEST.fullmatch(name)
        ]
        if not files:
            raise UserError(f"{folder / SUMS} lists no manifest; publish the board again.")
        columns = {name: head.columns.get(name) for name in head.board.evaluation.columns}
        known = {name: column for name, column in columns.items() if column is not None}
        if len(known) < len(columns) or len(known) < len(head.columns):
            raise UserError(f"{folder / BOARD}: its columns are not those of its board.")
        for name, column in known.items():
            if column.threat_model is not None and not 0 <= column.threat_model[1] <= _RADIUS:
                raise UserError(
                    f"{folder / BOARD}: the radius of '{shortened(name)}' is out of range."
                )
        _check_worst_case(head, known)
        order = {title: i for i, title in enumerate(head.board.titles)}
        last = len(order)
        seeds = {seed: i for i, seed in enumerate(head.board.seeds)}
        files.sort(
            key=lambda file: (
                order.get(file.row, last),
                file.row,
                seeds.get(file.cell.seed, len(seeds)),
            )
        )
        lists = _challenges(folder, names)
        cells = tuple(
            PublishedCell(
                file,
                replace(
                    _result(file, folder, known), challenges=tuple(lists.get(file.cell.key, ()))
                ),
                folder,
            )
            for file in files
        )
        if read_sums(folder) != names:
            raise UserError(
                f"{folder} changed while it was read: another robench publishes there; run this "
                f"command again."
            )
        return cls(head.name, folder, head.board, head.dataset, known, cells, head.sources)

    @cached_property
    def table(self) -> pd.DataFrame:
        """``leaderboard.csv``, best first.

        Raises:
            UserError: if it is missing, damaged or of another schema version.
        """
        table = _table(self.folder / TABLE)
        schema = set(table["schema"]) if "schema" in table else set()
        if schema != {SCHEMA}:
            raise UserError(
                f"{self.folder / TABLE} has schema {sorted(schema) or 'none'}; this robench reads "
                f"schema {SCHEMA}."
            )
        return table

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """``comparisons.csv``: one row per pair of defenses.

        Raises:
            UserError: if it is missing or damaged.
        """
        return _table(self.folder / COMPARISONS)

    @cached_property
    def derived(self) -> dict[str, pd.DataFrame]:
        """The other tables, by file name: see :mod:`robench.leaderboard.derived`.

        Raises:
            UserError: if one of them is damaged.
        """
        published = read_sums(self.folder)
        return {name: _table(self.folder / name) for name in KEYS if name in published}

    @cached_property
    def result(self) -> BoardResult:
        """The finished board that the table is computed from, as a run returns it."""
        rows: dict[str, list[PublishedCell]] = {}
        for cell in self.cells:
            rows.setdefault(cell.row, []).append(cell)
        made = tuple(
            RowResult(title, cells[0].file.costs, tuple(cell.result for cell in cells))
            for title, cells in rows.items()
        )
        return BoardResult(self.board, self.dataset, self.columns, made)


def refuse_gans(folder: Path) -> None:
    """Refuse the folder of a board of GANs, of which this class reads nothing.

    Raises:
        UserError: if it is one.
    """
    values = read_json(folder / BOARD, inside=folder)
    if isinstance(values, dict) and values.get("kind") == "gan":
        raise UserError(
            f"{folder} holds a board of GANs; 'robench verify' and 'robench page' take it, and "
            f"this command does not."
        )


_RADIUS = 1e6
"""Largest radius; images have at most millions of pixels in [0, 1]."""

_MANIFEST = re.compile(r"manifests/[^/]+\.json")
_CHALLENGE = re.compile(rf"{FOLDER}/([0-9a-f]{{16}})/[0-9a-f]{{16}}\.npz")
_KEY = re.compile(r"[\w-]{1,80}")


def _result(file: CellFile, folder: Path, columns: Iterable[str]) -> CellResult:
    if file.manifest is None:
        return CellResult(file, {})
    for key in file.manifest.outcomes:
        if not _KEY.fullmatch(key):
            raise UserError(
                f"the manifest of '{shortened(file.row)}' has the key '{shortened(key)}': not a "
                f"name."
            )
    keys = {entry.column: key for key, entry in file.manifest.outcomes.items()}
    missing = [column for column in columns if column not in keys]
    if missing:
        raise UserError(
            f"the manifest of '{shortened(file.row)}' has no outcomes for "
            f"'{shortened(missing[0])}'."
        )
    paths = {name: outcome_path(folder, file.cell.key, keys[name]) for name in columns}
    return CellResult(file, OutcomeFiles(paths))


def _challenges(folder: Path, names: Iterable[str]) -> dict[str, list[Path]]:
    """Return cell key -> files of challenges, in the order of their names."""
    found: dict[str, list[Path]] = {}
    for name in sorted(names):
        if match := _CHALLENGE.fullmatch(name):
            found.setdefault(match[1], []).append(folder / name)
    return found


def _check_worst_case(head: BoardFile, columns: Mapping[str, EvaluatedColumn]) -> None:
    evaluation = head.board.evaluation
    models = {name: column.threat_model for name, column in columns.items()}
    try:
        check_threat_models(
            evaluation.main_column, evaluation.ranking_column, evaluation.worst_case, models
        )
    except UserError as error:
        raise UserError(f"{BOARD} of {head.name}: {error}") from None


def _read(folder: Path, name: str, form: type[Form]) -> Form:
    values = read_json(folder / name, inside=folder)
    try:
        return form.model_validate(values, context=PUBLISHED)
    except ValidationError as error:
        raise UserError(f"{folder / name}: {explain(error, form)}") from None


def _table(path: Path) -> pd.DataFrame:
    text = read_text(path, longest=DOCUMENT_BYTES, inside=path.parent)
    return read_csv(text, path.name, str(path))
