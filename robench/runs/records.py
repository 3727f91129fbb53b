"""What a board leaves: evidence and outcomes of each cell, put together into rows."""

import hashlib
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from robench.base import Attack, ThreatModel
from robench.board.board import Board
from robench.board.specs import HASH, AnyCell, Cell, Spec, TrainingSpec
from robench.evaluation import Outcomes
from robench.models.complexity import Complexity


class OutcomeEntry(Spec):
    """What is known of the outcomes of one column, which lie in a file named by their key."""

    column: str
    outcomes_hash: str = Field(pattern=HASH)
    seconds_of_group: float
    gradients: str
    version: str


class Manifest(Spec):
    """What a cell was made with. Nothing private is in it.

    ``training_seconds`` is None for somebody's own network.
    """

    specification: str
    version: str
    environment: dict[str, str]
    data_hash: str
    training_seconds: float | None
    peak_memory_mib: int
    weights_hash: str = Field(pattern=HASH)
    outcomes: dict[str, OutcomeEntry]


class Divergence(Spec):
    """Why there are no weights."""

    reason: str
    version: str


class FindingEntry(Spec):
    """The result of one check; ``passed`` is None where it could not be judged."""

    check: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    passed: bool | None
    sentence: str


class CurvePoint(Spec):
    """Accuracy under the standard white-box attack of a radius."""

    eps: float
    accuracy: float


class CheckReport(Spec):
    """What :meth:`robench.checks.Report.to_json` gives."""

    version: int
    samples: int
    findings: tuple[FindingEntry, ...]
    curve: tuple[CurvePoint, ...]


class LayerSpectrum(Spec):
    """Norms and condition numbers of a layer's operator, see :func:`robench.spectra`.

    None where an operator is singular, or not linear.
    """

    layer: str
    operator: str
    channel_condition_median: float | None = None
    channel_condition_max: float | None = None
    norm: float | None = None
    condition: float | None = None
    norm_bound: float | None = None
    padded_norm: float | None = None


class Evidence(Spec):
    """Everything about a finished cell but its weights and outcomes.

    Attributes:
        cell: the specification.
        manifest: what it was made with; None where training diverged.
        diverged: why there are no weights, or None.
        training: a row an epoch; None for what is not a number.
        checks: the report of :mod:`robench.checks`, or None where they were left out.
        spectra: of the layers of the trained network; empty where they were not asked for.
    """

    cell: AnyCell
    manifest: Manifest | None = None
    diverged: Divergence | None = None
    training: tuple[dict[str, float | None], ...] = ()
    checks: CheckReport | None = None
    spectra: tuple[LayerSpectrum, ...] = ()


@dataclass(frozen=True)
class EvaluatedColumn:
    """What a column of accuracies stands for; both empty for the clean images.

    Attributes:
        threat_model: norm and radius of the attack's ball, where it keeps to one.
        reports_queries: its cost in queries is a result.
    """

    threat_model: ThreatModel | None = None
    reports_queries: bool = False

    @classmethod
    def of(cls, attack: Attack) -> "EvaluatedColumn":
        """Return the column of an attack."""
        return cls(attack.threat_model, attack.reports_queries)


class OutcomeFiles(Mapping[str, Outcomes]):
    """Column -> outcomes, read from their files at each use: a large board does not fit memory."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = dict(paths)

    def __getitem__(self, column: str) -> Outcomes:
        return Outcomes.load(self.paths[column])

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, eq=False)
class CellResult:
    """What a finished cell brings to its row.

    Attributes:
        evidence: see there.
        outcomes: column -> outcomes, ``clean`` among them; empty where training diverged.
    """

    evidence: Evidence
    outcomes: Mapping[str, Outcomes]

    @property
    def seed(self) -> int:
        """The cell's seed."""
        return self.evidence.cell.seed

    @property
    def diverged(self) -> bool:
        """Training ended without finite weights."""
        return self.evidence.diverged is not None

    @property
    def version(self) -> str:
        """The code that trained it."""
        made = self.evidence.manifest or self.evidence.diverged
        return made.version if made else ""

    @property
    def seconds_per_epoch(self) -> float:
        """Median over the epochs; nan where there are none."""
        seconds = [row["seconds"] for row in self.evidence.training if row.get("seconds")]
        return statistics.median(s for s in seconds if s) if seconds else math.nan

    @property
    def flags(self) -> dict[str, str]:
        """The checks that failed, with a sentence each."""
        report = self.evidence.checks
        return {f.check: f.sentence for f in report.findings if f.passed is False} if report else {}

    @property
    def digest(self) -> str:
        """Hash of specification, weights and outcomes."""
        key, manifest = self.evidence.cell.key, self.evidence.manifest
        if manifest is None:
            return key
        by_column = {entry.column: entry.outcomes_hash for entry in manifest.outcomes.values()}
        hashes = [by_column[column] for column in self.outcomes]
        return hashlib.sha256("".join([key, manifest.weights_hash, *hashes]).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class RowResult:
    """A row of the board with its finished cells, one a seed, and what its network costs."""

    title: str
    costs: Complexity
    cells: tuple[CellResult, ...]

    @property
    def recipe(self) -> TrainingSpec | None:
        """How its cells were trained; None for somebody's own network."""
        cell = self.cells[0].evidence.cell
        return cell.training if isinstance(cell, Cell) else None


@dataclass(frozen=True, eq=False)
class BoardResult:
    """A finished board: everything that its table is made from.

    Attributes:
        board: the specification.
        dataset: the data set's name.
        columns: what is judged, ``clean`` first.
        rows: as the board orders them.
    """

    board: Board
    dataset: str
    columns: Mapping[str, EvaluatedColumn]
    rows: tuple[RowResult, ...]
