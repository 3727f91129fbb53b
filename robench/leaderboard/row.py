"""The data that one leaderboard row is computed from; outcomes are read once per row."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from robench.board.board import Board
from robench.board.cells import AnyCell
from robench.board.ranking import ADAPTIVE, BEST_KNOWN, COMBINED, CORRUPTION, WORST_CASE
from robench.board.specs import EvaluationSpec
from robench.evaluation.outcomes import Outcomes
from robench.leaderboard.challenge.files import fallen
from robench.leaderboard.conditioning import ratios
from robench.leaderboard.statistics import Estimate, estimate
from robench.runs.records import BoardResult, CellResult, EvaluatedColumn, RowResult

Role = Literal[
    "clean", "attack", "counts queries", "worst case", "best known", "corruption", "corruptions",
    "certified",
]  # fmt: skip
"""The role of an evaluated column; an attack that reports queries has two roles. One corruption is
a ``corruption``, the mean over all of them ``corruptions``. A certificate is ``certified``."""


@dataclass(frozen=True, eq=False)
class ColumnOutcomes:
    """The outcomes of one evaluated column of a row, one per seed; none if a seed diverged.

    Attributes:
        name: ``clean``, an attack, or one of :data:`robench.board.ranking.COMBINED`.
        outcomes: in the order of the seeds.
    """

    name: str
    outcomes: tuple[Outcomes, ...]

    @cached_property
    def accuracy(self) -> Estimate:
        """The accuracy over the seeds; all nan if there are no outcomes."""
        if not self.outcomes:
            return Estimate(math.nan, math.nan, math.nan, math.nan)
        return estimate([o.accuracy for o in self.outcomes], len(self.outcomes[0]))

    def mean(self, figure: Callable[[Outcomes], float]) -> float:
        """Return the mean over the seeds of a figure; nan if there are no outcomes."""
        values = [figure(outcomes) for outcomes in self.outcomes]
        return sum(values) / len(values) if values else math.nan


@dataclass(frozen=True, eq=False)
class MeanOutcomes(ColumnOutcomes):
    """The mean over several columns of a row; ``outcomes`` is empty.

    Attributes:
        parts: the columns, without a diverged seed.
    """

    parts: tuple[ColumnOutcomes, ...] = ()

    @cached_property
    def accuracy(self) -> Estimate:
        """The accuracy over columns and seeds.

        The interval is that of one column: corruptions of one image are no independent samples.
        """
        if not all(part.outcomes for part in self.parts):
            return Estimate(math.nan, math.nan, math.nan, math.nan)
        per_seed = zip(*(part.outcomes for part in self.parts), strict=True)
        means = [float(np.mean([o.accuracy for o in outcomes])) for outcomes in per_seed]
        return estimate(means, min(len(o) for part in self.parts for o in part.outcomes))


@dataclass(frozen=True, eq=False)
class LeaderboardRow:
    """A row of a finished board, together with the board."""

    result: BoardResult
    row: RowResult

    @property
    def board(self) -> Board:
        """The specification."""
        return self.result.board

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """The finished cells, one per seed."""
        return self.row.cells

    @property
    def cell(self) -> AnyCell:
        """The specification of the first cell; those of the others differ only in the seed."""
        return self.cells[0].evidence.cell

    @property
    def diverged(self) -> bool:
        """Whether a seed diverged; if so, the row has no accuracies."""
        return any(cell.diverged for cell in self.cells)

    def of(self, column: str) -> tuple[Outcomes, ...]:
        """Return the outcomes of one evaluated column, in the order of the seeds; no seed diverged.

        Others are not read.
        """
        if column not in COMBINED:
            return tuple(cell.outcomes[column] for cell in self.cells)
        return self.evaluated[column].outcomes

    def hits(self, column: str) -> NDArray[np.int64]:
        """Return (seeds, samples): in how many of a column's parts a prediction is right.

        The mean over corruptions has as many parts as there are corruptions, any other column one.
        The arguments are those of :meth:`of`.
        """
        counts = [
            np.stack([outcomes.robust for outcomes in self.of(part)]).astype(np.int64)
            for part in parts(self.result.columns, column)
        ]
        return np.sum(counts, axis=0)

    def images(self, column: str) -> int:
        """Return how many images a column covers; of the mean over corruptions, the fewest.

        The arguments are those of :meth:`of`.
        """
        covered = parts(self.result.columns, column)
        return min((len(found) for part in covered for found in self.of(part)), default=0)

    @cached_property
    def evaluated(self) -> dict[str, ColumnOutcomes]:
        """Name -> outcomes, for all names of :func:`roles`."""
        per_seed = [] if self.diverged else [dict(cell.outcomes) for cell in self.cells]
        found = {name: tuple(o[name] for o in per_seed) for name in self.result.columns}
        attacks = worst_case_attacks(self.result.columns, self.board.evaluation)
        if attacks:
            found[WORST_CASE] = tuple(Outcomes.worst_of([o[a] for a in attacks]) for o in per_seed)
        if has_best_known(self.result):
            before = found[WORST_CASE if attacks else self.board.evaluation.main_column]
            cells = self.cells if before else ()
            pairs = zip(cells, before, strict=True)
            found[BEST_KNOWN] = tuple(lowered(cell, outcomes) for cell, outcomes in pairs)
        shown = {name: () if _has_none(name, o) else o for name, o in found.items()}
        columns = {name: ColumnOutcomes(name, outcomes) for name, outcomes in shown.items()}
        if corrupted := corruptions(self.result.columns):
            parts = tuple(columns[name] for name in corrupted)
            columns[CORRUPTION] = MeanOutcomes(CORRUPTION, (), parts)
        return columns

    @cached_property
    def condition_ratios(self) -> dict[str, float]:
        """Kind of mean -> mean of the baseline's condition numbers divided by the row's."""
        return ratios(self.result, self.row)


def has_none(name: str, outcomes: Outcomes) -> bool:
    """Return whether a column is of an adaptive attack that the defense does not have.

    Its images were returned as they are, without asking the network.
    """
    if name.partition("(")[0] != ADAPTIVE:
        return False
    return not any(getattr(outcomes, of).any() for of in ("forwards", "backwards", "linf", "l2"))


def _has_none(name: str, several: tuple[Outcomes, ...]) -> bool:
    return all(has_none(name, outcomes) for outcomes in several)


def roles(result: BoardResult) -> dict[str, frozenset[Role]]:
    """Return name -> roles of the evaluated columns of a board, in the order of its table."""
    found = {name: _roles(name, column) for name, column in result.columns.items()}
    if worst_case_attacks(result.columns, result.board.evaluation):
        found[WORST_CASE] = frozenset({"worst case"})
    if has_best_known(result):
        found[BEST_KNOWN] = frozenset({"best known"})
    if corruptions(result.columns):
        found[CORRUPTION] = frozenset({"corruptions"})
    return found


def corruptions(columns: Mapping[str, EvaluatedColumn]) -> list[str]:
    """Return the names of the columns of corruptions."""
    return [name for name, column in columns.items() if column.corrupts]


def parts(columns: Mapping[str, EvaluatedColumn], column: str) -> list[str]:
    """Return what a column is the mean over: the corruptions, or itself alone."""
    return corruptions(columns) if column == CORRUPTION else [column]


def has_best_known(result: BoardResult) -> bool:
    """Return whether a board has the column ``best_known``: it ranks, or there are challenges."""
    if result.board.evaluation.ranking_column == BEST_KNOWN:
        return True
    return any(cell.challenges for row in result.rows for cell in row.cells)


def lowered(cell: CellResult, outcomes: Outcomes) -> Outcomes:
    """Return the outcomes of a network, lowered by the challenges of it.

    Images that were not robust before are the same after.
    """
    found = fallen(cell.challenges, len(outcomes))
    return replace(outcomes, robust=outcomes.robust & ~found, rounded=outcomes.rounded & ~found)


def worst_case_attacks(
    columns: Mapping[str, EvaluatedColumn], evaluation: EvaluationSpec
) -> list[str]:
    """Return the attacks that the worst case is over, in the order of the columns.

    They are those that the board names, or else all of its threat model. There is no worst case,
    and the list is empty, if that is a single one and does not rank.
    """
    threat_model = columns[evaluation.main_column].threat_model
    if threat_model is None:
        return []
    named = evaluation.worst_case or [
        n for n, c in columns.items() if c.threat_model == threat_model
    ]
    enough = bool(evaluation.worst_case) or evaluation.ranking_column in COMBINED or len(named) > 1
    return [name for name in columns if name in named] if enough else []


def _roles(name: str, column: EvaluatedColumn) -> frozenset[Role]:
    if name == "clean":
        return frozenset({"clean"})
    if column.corrupts:
        return frozenset({"corruption"})
    if column.proves:
        return frozenset({"certified"})
    return frozenset({"attack", "counts queries"} if column.reports_queries else {"attack"})
