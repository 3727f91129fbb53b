"""From finished cells to the leaderboard: one tidy row a defense, columns in a fixed order."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from robench.board.board import Board
from robench.board.recipes import differences
from robench.board.specs import ExternalCell
from robench.evaluation.outcomes import Outcomes
from robench.leaderboard.comparison import Comparison, compare
from robench.leaderboard.conditioning import ratios
from robench.leaderboard.safe_csv import read_safe_csv, to_safe_csv
from robench.leaderboard.statistics import estimate
from robench.runs.records import BoardResult, EvaluatedColumn, RowResult

SCHEMA = 1
"""Version of the columns; raised when one is renamed, removed or comes to mean something else."""

TEXT_COLUMNS = (
    "group", "defense", "training", "recipe", "backbone", "dataset", "seeds", "flags", "version",
    "digest", "column", "first", "second", "method", "layer", "operator",
)  # fmt: skip
"""Columns that hold text; all others hold numbers."""

TIMING_COLUMNS = ("train_seconds_per_epoch", "train_cost")
"""Columns that differ between two runs of the same work."""


def compare_rows(result: BoardResult) -> Comparison:
    """Compare the rows by the board's ranking column; a row with a diverged seed is left out."""
    column = result.board.evaluation.ranking_column
    compared = compare(
        {
            row.title: np.stack([cell.outcomes[column].robust for cell in row.cells])
            for row in result.rows
            if not any(cell.diverged for cell in row.cells)
        }
    )
    compared.pairs.insert(0, "column", column)
    return compared


def leaderboard(result: BoardResult, comparison: Comparison) -> pd.DataFrame:
    """Build the table, best first by the board's ranking column.

    Accuracies and their intervals are fractions in [0, 1]. A row with a diverged seed has no
    figures, is flagged and comes last.

    Args:
        result: the finished board.
        comparison: of its rows.
    """
    board = result.board
    table = pd.DataFrame([_row(result, row) for row in result.rows])
    seconds = table.loc[table["defense"] == board.baseline_row, "train_seconds_per_epoch"]
    table["train_cost"] = table["train_seconds_per_epoch"] / (*seconds, math.nan)[0]
    key = f"{board.evaluation.ranking_column}_mean"
    rank = table[key].rank(method="min", ascending=False, na_option="bottom").astype(int)
    table.insert(0, "rank", rank)
    ranks = comparison.ranks.reindex(table["defense"])
    for place, name in enumerate(("rank_low", "rank_high"), start=1):
        table.insert(place, name, ranks[name].astype("Int64").to_numpy())
    table.insert(3, "group", ranks["group"].astype(object).fillna("").to_numpy())
    return table.sort_values(["rank", "defense"], kind="stable", ignore_index=True)


def to_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV text: figures to six digits, an empty field for no figure.

    Text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    return to_safe_csv(table)


def read_csv(text: str, where: str) -> pd.DataFrame:
    """Read what :func:`to_csv` wrote, a leaderboard or its comparisons, with the types it had.

    Raises:
        UserError: where it is no such table; ``where`` names it.
    """
    return read_safe_csv(text, TEXT_COLUMNS, where)


def _row(result: BoardResult, row: RowResult) -> dict[str, Any]:
    board, cells = result.board, row.cells
    diverged = any(cell.diverged for cell in cells)
    outcomes = [] if diverged else [dict(cell.outcomes) for cell in cells]
    figures: dict[str, Any] = {}
    for name, column in result.columns.items():
        figures |= _figures(name, column, [o[name] for o in outcomes])
    figures |= _worst_case(result, outcomes)
    digests = "".join(cell.digest for cell in cells)
    flags = dict.fromkeys(flag for cell in cells for flag in cell.flags)
    return {
        "defense": row.title,
        **_made(row, board),
        "dataset": result.dataset,
        "seeds": " ".join(str(cell.seed) for cell in cells),
        "samples": board.evaluation.samples,
        **figures,
        "train_seconds_per_epoch": sum(c.seconds_per_epoch for c in cells) / len(cells),
        "train_cost": math.nan,
        "parameters": row.costs.parameters,
        "multiply_adds": _number(row.costs.multiply_adds),
        "training_memory_mib": _number(row.costs.training_memory_mib),
        **ratios(result, row),
        "flags": " ".join((["diverged"] if diverged else []) + list(flags)),
        "version": " ".join(sorted({cell.version for cell in cells})),
        "digest": hashlib.sha256(digests.encode()).hexdigest()[:16],
        "schema": SCHEMA,
    }


def _made(row: RowResult, board: Board) -> dict[str, Any]:
    """Return how the networks came about: trained here, or brought by their author."""
    cell = row.cells[0].evidence.cell
    if isinstance(cell, ExternalCell):
        made = {"training": "external", "recipe": "", "backbone": cell.architecture}
        return {**made, "width": math.nan}
    training = differences(cell.training, board.training)
    data = differences(cell.data, board.data.model_copy(update={"name": cell.data.name}))
    return {
        "training": cell.training.method,
        "recipe": ", ".join(filter(None, (training, data))),
        "backbone": cell.model.name,
        "width": cell.model.width,
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _figures(name: str, column: EvaluatedColumn, outcomes: list[Outcomes]) -> dict[str, Any]:
    figures = _accuracy(name, outcomes)
    if name == "clean":
        return figures
    figures[f"{name}_rounded"] = _mean([o.survive_rounding for o in outcomes])
    if not column.reports_queries:
        return figures
    return figures | {
        f"{name}_samples": len(outcomes[0].robust) if outcomes else 0,
        f"{name}_success": _mean([o.success_rate for o in outcomes]),
        f"{name}_queries": _mean([o.mean_queries for o in outcomes]),
        f"{name}_queries_of_successes": _mean([o.mean_queries_of_successes for o in outcomes]),
    }


def _worst_case(result: BoardResult, outcomes: list[dict[str, Outcomes]]) -> dict[str, Any]:
    """Return the accuracy under all attacks of the ranking column's threat model together."""
    ball = result.columns[result.board.evaluation.ranking_column].threat_model
    own = [name for name, column in result.columns.items() if ball and column.threat_model == ball]
    if len(own) < 2:
        return {}
    together = [Outcomes.worst_of([o[c] for c in own]) for o in outcomes]
    count = len(together[0]) if together else math.nan
    return {**_accuracy("worst_case", together), "worst_case_samples": count}


def _accuracy(column: str, outcomes: list[Outcomes]) -> dict[str, Any]:
    spread = estimate([o.accuracy for o in outcomes], len(outcomes[0].robust)) if outcomes else None
    names = ("mean", "std", "low", "high")
    return {f"{column}_{n}": getattr(spread, n) if spread else math.nan for n in names}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
