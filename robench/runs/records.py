"""The results of a board: provenance and outcomes of each cell, combined into rows."""

import hashlib
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from robench.base import Attack, ThreatModel
from robench.board.board import Board
from robench.board.cells import HASH, AnyCell, Cell
from robench.board.specs import Shortcut, Spec, TrainingSpec
from robench.evaluation import Outcomes
from robench.models.complexity import Complexity
from robench.training.collapse import collapse_of

UNPROVED = "unproved"
"""The flag of a network of which a certificate proves nothing."""

COLLAPSED = "collapsed"
"""The flag of a network whose training lost the robustness that it had gained."""

LIBRARY = r"^\w+ [\w.+-]+$"
"""A library of attacks with its version, e.g. "torchattacks 3.5.1"."""


class OutcomeEntry(Spec):
    """The provenance of the outcomes of one column, which are in a file named by their key.

    ``source`` is the hash of the attack's source, unless it is the suite's as shipped; ``library``
    names the library that the attack is of, with its version; ``refused`` says for each shortcut
    that the network ruled out why. Of a certificate, ``lipschitz`` is the constant that it proves
    from pixels to logits, and ``unproved`` why it proves nothing. The JSON form leaves out what is
    empty.
    """

    added_later: ClassVar[frozenset[str]] = frozenset(
        {"source", "library", "refused", "lipschitz", "unproved"}
    )

    column: str
    outcomes_hash: str = Field(pattern=HASH)
    seconds_of_group: float
    gradients: str
    version: str
    source: str | None = Field(None, pattern=HASH)
    library: str | None = Field(None, pattern=LIBRARY, max_length=100)
    refused: dict[Shortcut, Annotated[str, Field(max_length=500)]] = Field(default_factory=dict)
    lipschitz: float | None = Field(None, ge=0, allow_inf_nan=False)
    unproved: str = Field("", max_length=500)


class Manifest(Spec):
    """The provenance of a cell's weights and outcomes. It contains nothing private.

    ``training_seconds`` is None for a third-party network.
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
    """The reason why a cell has no weights."""

    reason: str
    version: str


class FindingEntry(Spec):
    """The result of one check; ``passed`` is None if the check was inconclusive.

    ``best_effort`` is not written if the check did not search, as in reports of version 1.
    """

    added_later: ClassVar[frozenset[str]] = frozenset({"best_effort"})

    check: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    passed: bool | None
    sentence: str
    best_effort: float | None = None


class CurvePoint(Spec):
    """Accuracy under the standard white-box attack with one radius."""

    eps: float
    accuracy: float


class CheckReport(Spec):
    """The stored form of a report, as :meth:`robench.checks.Report.to_json` returns it."""

    version: int
    samples: int
    findings: tuple[FindingEntry, ...]
    curve: tuple[CurvePoint, ...]


class LayerSpectrum(Spec):
    """Norms and condition numbers of a layer's operator; see :func:`robench.spectra`.

    They are None if the operator is singular or not linear.
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
    """Everything about a finished cell except its weights and outcomes.

    Attributes:
        cell: the specification.
        manifest: the provenance of weights and outcomes; None if training diverged.
        diverged: the reason why there are no weights, or None.
        training: the log of the training, one row per epoch; nan is stored as None.
        checks: the report of :mod:`robench.checks`, or None if they were left out.
        spectra: the spectra of the trained network's layers; empty if the board did not ask for
            them.
    """

    cell: AnyCell
    manifest: Manifest | None = None
    diverged: Divergence | None = None
    training: tuple[dict[str, float | None], ...] = ()
    checks: CheckReport | None = None
    spectra: tuple[LayerSpectrum, ...] = ()


@dataclass(frozen=True)
class EvaluatedColumn:
    """The meaning of a column of accuracies; the defaults are those of the clean images.

    Attributes:
        threat_model: the norm and radius of the attack, or None if it is not bounded by one.
        reports_queries: whether the attack's number of queries is a result.
        corrupts: whether it is a corruption, which clean mistakes get, too.
        proves: the ball within which it proves predictions, if it is a certificate.
    """

    threat_model: ThreatModel | None = None
    reports_queries: bool = False
    corrupts: bool = False
    proves: ThreatModel | None = None

    @classmethod
    def of(cls, attack: Attack) -> "EvaluatedColumn":
        """Return the column of an attack."""
        return cls(attack.threat_model, attack.reports_queries, attack.corrupts, attack.proves)


class OutcomeFiles(Mapping[str, Outcomes]):
    """Column -> outcomes, read from file at each use: a large board does not fit in memory."""

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
    """The result of a finished cell.

    Attributes:
        evidence: everything about the cell except its weights and outcomes.
        outcomes: column -> outcomes, including ``clean``; empty if training diverged.
        challenges: files of adversarial images that others found against the network, of a
            published board; see :mod:`robench.leaderboard.challenge`.
    """

    evidence: Evidence
    outcomes: Mapping[str, Outcomes]
    challenges: tuple[Path, ...] = ()

    @property
    def seed(self) -> int:
        """The seed of the cell."""
        return self.evidence.cell.seed

    @property
    def diverged(self) -> bool:
        """Whether training ended without finite weights."""
        return self.evidence.diverged is not None

    @property
    def version(self) -> str:
        """The version of the code that trained it."""
        record = self.evidence.manifest or self.evidence.diverged
        return record.version if record else ""

    @property
    def seconds_per_epoch(self) -> float:
        """The median over the epochs; nan if there are none."""
        seconds = [row["seconds"] for row in self.evidence.training if row.get("seconds")]
        return statistics.median(s for s in seconds if s) if seconds else math.nan

    @property
    def training_seconds(self) -> float:
        """The sum over the epochs; nan if there are none, or they ended without weights."""
        log = () if self.diverged else self.evidence.training
        return math.fsum(row.get("seconds") or math.nan for row in log) if log else math.nan

    @property
    def flags(self) -> dict[str, str]:
        """What speaks against the network, a sentence each.

        These are the checks that failed, why it is not certified, and a collapse of its training.
        """
        manifest, report = self.evidence.manifest, self.evidence.checks
        entries = manifest.outcomes.values() if manifest else ()
        reasons = [entry.unproved for entry in entries if entry.unproved]
        found = {UNPROVED: reasons[0]} if reasons else {}
        if collapse := collapse_of(self.evidence.training):
            found[COLLAPSED] = collapse
        findings = report.findings if report else ()
        return found | {f.check: f.sentence for f in findings if f.passed is False}

    @property
    def digest(self) -> str:
        """The hash of specification, weights and outcomes."""
        key, manifest = self.evidence.cell.key, self.evidence.manifest
        if manifest is None:
            return key
        by_column = {entry.column: entry.outcomes_hash for entry in manifest.outcomes.values()}
        hashes = [by_column[column] for column in self.outcomes]
        return hashlib.sha256("".join([key, manifest.weights_hash, *hashes]).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class RowResult:
    """A row of the board with its finished cells, one per seed, and its network's complexity."""

    title: str
    costs: Complexity
    cells: tuple[CellResult, ...]

    @property
    def recipe(self) -> TrainingSpec | None:
        """The recipe that its cells were trained with; None for a third-party network."""
        cell = self.cells[0].evidence.cell
        return cell.training if isinstance(cell, Cell) else None


@dataclass(frozen=True, eq=False)
class BoardResult:
    """A finished board: everything that its table is computed from.

    Attributes:
        board: the specification.
        dataset: the name of the data set.
        columns: name -> meaning of each column, ``clean`` first.
        rows: the rows in the board's order.
    """

    board: Board
    dataset: str
    columns: Mapping[str, EvaluatedColumn]
    rows: tuple[RowResult, ...]
