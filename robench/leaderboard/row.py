"""The data that one leaderboard row is computed from; outcomes are read once per row."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from robench.board.board import Board
from robench.board.specs import AnyCell
from robench.evaluation.outcomes import Outcomes
from robench.leaderboard.conditioning import ratios
from robench.leaderboard.statistics import Estimate, estimate
from robench.runs.records import BoardResult, CellResult, EvaluatedColumn, RowResult

Role = Literal["clean", "attack", "counts queries", "worst case"]
"""The role of an evaluated column; an attack that reports queries has two roles."""

WORST_CASE = "worst_case"
"""All attacks of the ranking column's threat model combined, sample by sample."""


@dataclass(frozen=True, eq=False)
class ColumnOutcomes:
    """The outcomes of one evaluated column of a row, one per seed; none if a seed diverged.

    Attributes:
        name: ``clean``, an attack, or :data:`WORST_CASE`.
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

    @cached_property
    def evaluated(self) -> dict[str, ColumnOutcomes]:
        """Name -> outcomes, for all names of :func:`roles`."""
        per_seed = [] if self.diverged else [dict(cell.outcomes) for cell in self.cells]
        found = {name: tuple(o[name] for o in per_seed) for name in self.result.columns}
        attacks = worst_case_attacks(self.result.columns, self.board.evaluation.ranking_column)
        if attacks:
            found[WORST_CASE] = tuple(Outcomes.worst_of([o[a] for a in attacks]) for o in per_seed)
        return {name: ColumnOutcomes(name, outcomes) for name, outcomes in found.items()}

    @cached_property
    def condition_ratios(self) -> dict[str, float]:
        """Kind of mean -> mean of the baseline's condition numbers divided by the row's."""
        return ratios(self.result, self.row)


def roles(result: BoardResult) -> dict[str, frozenset[Role]]:
    """Return name -> roles of the evaluated columns of a board, in the order of its table."""
    found = {name: _roles(name, column) for name, column in result.columns.items()}
    if worst_case_attacks(result.columns, result.board.evaluation.ranking_column):
        found[WORST_CASE] = frozenset({"worst case"})
    return found


def worst_case_attacks(columns: Mapping[str, EvaluatedColumn], ranking: str) -> list[str]:
    """Return the attacks of the ranking column's threat model; none unless there are several."""
    threat_model = columns[ranking].threat_model
    same = [name for name, column in columns.items() if column.threat_model == threat_model]
    return same if threat_model and len(same) > 1 else []


def _roles(name: str, column: EvaluatedColumn) -> frozenset[Role]:
    if name == "clean":
        return frozenset({"clean"})
    return frozenset({"attack", "counts queries"} if column.reports_queries else {"attack"})
