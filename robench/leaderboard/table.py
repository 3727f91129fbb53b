"""From finished cells to the leaderboard: one tidy row a defense, columns in a fixed order."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from robench.board import Board
from robench.calls import parse_call
from robench.contracts import Attack
from robench.evaluation.outcomes import Outcomes
from robench.execution.run import BoardResult, RowResult
from robench.leaderboard.comparison import Comparison, compare
from robench.leaderboard.statistics import estimate
from robench.recipes import differences
from robench.registry import attacks

TIMING_COLUMNS = ("train_seconds_per_epoch", "train_cost")
"""Columns that differ between two runs of the same work."""


def compare_rows(result: BoardResult) -> Comparison:
    """Compare the rows by the board's ranking column; a row with a diverged seed is left out."""
    column = result.board.evaluation.ranking_column
    compared = compare(
        {
            row.arm.title: np.stack([cell.outcomes[column].robust for cell in row.cells])
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
    baseline = board.baseline or result.rows[0].arm.title
    seconds = table.loc[table["defense"] == baseline, "train_seconds_per_epoch"]
    table["train_cost"] = table["train_seconds_per_epoch"] / seconds.iloc[0]
    key = f"{board.evaluation.ranking_column}_mean"
    rank = table[key].rank(method="min", ascending=False, na_option="bottom").astype(int)
    table.insert(0, "rank", rank)
    ranks = comparison.ranks.reindex(table["defense"])
    for place, name in enumerate(("rank_low", "rank_high"), start=1):
        table.insert(place, name, ranks[name].astype("Int64").to_numpy())
    table.insert(3, "group", ranks["group"].astype(object).fillna("").to_numpy())
    return table.sort_values(["rank", "defense"], kind="stable", ignore_index=True)


def to_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV text: figures to six digits, an empty field for no figure."""
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _row(result: BoardResult, row: RowResult) -> dict[str, Any]:
    board, cells = result.board, row.cells
    diverged = any(cell.diverged for cell in cells)
    figures: dict[str, Any] = {}
    for column in board.evaluation.columns:
        figures |= _figures(board, column, [] if diverged else [c.outcomes[column] for c in cells])
    figures |= _worst_case(board, [] if diverged else [c.outcomes for c in cells])
    digests = "".join(cell.digest for cell in cells)
    return {
        "defense": row.arm.title,
        "training": row.recipe.method,
        "recipe": differences(row.recipe, board.training),
        "backbone": board.model.name,
        "width": board.model.width,
        "dataset": result.dataset,
        "seeds": " ".join(str(cell.seed) for cell in cells),
        "samples": board.evaluation.samples,
        **figures,
        "train_seconds_per_epoch": sum(c.seconds_per_epoch for c in cells) / len(cells),
        "train_cost": math.nan,
        "parameters": row.costs.parameters,
        "multiply_adds": row.costs.multiply_adds,
        "training_memory_mib": row.costs.training_memory_mib,
        "flags": "diverged" if diverged else "",
        "version": " ".join(sorted({cell.version for cell in cells})),
        "digest": hashlib.sha256(digests.encode()).hexdigest()[:16],
    }


def _figures(board: Board, column: str, outcomes: list[Outcomes]) -> dict[str, Any]:
    figures = _accuracy(column, outcomes)
    if column == "clean":
        return figures
    figures[f"{column}_rounded"] = _mean([o.survive_rounding for o in outcomes])
    if not _attack(board, column).reports_queries:
        return figures
    return figures | {
        f"{column}_samples": len(outcomes[0].robust) if outcomes else 0,
        f"{column}_success": _mean([o.success_rate for o in outcomes]),
        f"{column}_queries": _mean([o.mean_queries for o in outcomes]),
        f"{column}_queries_of_successes": _mean([o.mean_queries_of_successes for o in outcomes]),
    }


def _worst_case(board: Board, outcomes: list[dict[str, Outcomes]]) -> dict[str, Any]:
    """Return the accuracy under all attacks of the ranking column's threat model together."""
    columns = board.evaluation.attacks
    ranking = board.evaluation.ranking_column
    ball = _attack(board, ranking).threat_model if ranking != "clean" else None
    own = [c for c in columns if ball and _attack(board, c).threat_model == ball]
    if len(own) < 2:
        return {}
    return _accuracy("worst_case", [Outcomes.worst_of([o[c] for c in own]) for o in outcomes])


def _accuracy(column: str, outcomes: list[Outcomes]) -> dict[str, Any]:
    spread = estimate([o.accuracy for o in outcomes], len(outcomes[0].robust)) if outcomes else None
    names = ("mean", "std", "low", "high")
    return {f"{column}_{n}": getattr(spread, n) if spread else math.nan for n in names}


def _attack(board: Board, column: str) -> Attack:
    return attacks.build(parse_call(column), board.evaluation.defaults)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
