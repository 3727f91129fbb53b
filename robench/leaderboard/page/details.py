"""The details of a row: the figures of each seed, the checks, the training, the manifests."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from robench.board.ranking import BEST_KNOWN, WORST_CASE
from robench.evaluation.outcomes import Outcomes
from robench.leaderboard import columns
from robench.leaderboard.column_types import PerAttack
from robench.leaderboard.page.adaptive import adaptive_facts
from robench.leaderboard.page.cells import (
    accuracy_columns,
    cells_of_rows,
    flags_of,
    report_of,
    said,
    sentences,
)
from robench.leaderboard.page.sharing import own, shared, thinned
from robench.leaderboard.row import has_best_known, has_none, lowered, worst_case_attacks

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard, PublishedCell

EPOCHS = 40
"""Largest number of points kept of a training curve."""


def details(board: "Leaderboard") -> list[dict[str, Any]]:
    """Return the figures of each row, in the table's order, as JSON."""
    rows = zip(board.table.iterrows(), cells_of_rows(board).values(), strict=True)
    return [_row(board, row, cells) for (_, row), cells in rows]


def headings() -> list[str]:
    """Return the headings of what each attack has in addition to its accuracy, as ``more``."""
    return [entry.heading for entry in _headed()]


def evidence(board: "Leaderboard") -> dict[str, Any]:
    """Return what the figures are computed from, as JSON: each row's cells, and the comparisons.

    What the manifests of all cells have in common is stored once, as ``shared``; each cell holds
    the rest.
    """
    manifests = {
        cell_id(cell): {"cell": cell.specification, "manifest": cell.manifest}
        for cell in board.cells
    }
    common = shared(list(manifests.values()))
    return {
        "shared": common,
        "rows": [
            [_seed(board, cell, own(manifests[cell_id(cell)], common)) for cell in cells]
            for cells in cells_of_rows(board).values()
        ],
        "comparisons": comparisons(board),
    }


def cell_id(cell: "PublishedCell") -> tuple[str, int]:
    """Return what distinguishes a cell from the others of its board."""
    return cell.row, cell.seed


def comparisons(board: "Leaderboard") -> dict[str, list[Any]]:
    """Return the pairs of rows column by column; rows are given by their index in the table."""
    indices = {str(name): index for index, name in enumerate(board.table["defense"])}
    pairs = board.comparisons
    known = pairs[pairs["first"].isin(indices) & pairs["second"].isin(indices)]
    numbers = ["difference", "low", "high", "disagreement"]
    return {
        "first": [indices[name] for name in known["first"]],
        "second": [indices[name] for name in known["second"]],
        **{name: known[name].astype(float).round(6).tolist() for name in numbers},
        "p": [float(f"{p:.6g}") for p in known["p_holm"].astype(float)],
        "distinguishable": known["distinguishable"].astype(int).tolist(),
        "methods": sorted(known["method"].astype(str).unique()),
    }


def _row(board: "Leaderboard", row: "pd.Series[Any]", cells: "list[PublishedCell]") -> Any:
    plain = ("defense", "training", "recipe", "group")
    ranks = ("rank", "rank_low", "rank_high")
    return {
        **{name: str(row[name]) for name in plain},
        **{name: None if pd.isna(row[name]) else row[name] for name in ranks},
        "facts": [*_facts(board, row), *adaptive_facts(board, cells)],
        "flags": [[flag, sentences(flag, cells)] for flag in flags_of(row)],
        "figures": {column: _figures(board, row, column) for column in accuracy_columns(board)},
    }


def _facts(board: "Leaderboard", row: "pd.Series[Any]") -> list[tuple[str, str]]:
    """Return heading and text of the columns that have a heading and a value in this row."""
    baseline = board.board.baseline_row
    headed = [e for e in columns.COLUMNS if e.heading and not isinstance(e, PerAttack)]
    texts = [(e.heading, e.text(row.get(e.name), baseline)) for e in headed]
    return [(heading, text) for heading, text in texts if text is not None]


def _figures(board: "Leaderboard", row: "pd.Series[Any]", column: str) -> dict[str, Any]:
    """Return the accuracy of a column and, as ``more``, a text or None per heading."""
    baseline = board.board.baseline_row
    return {
        **{end: row[f"{column}_{end}"] for end in ("mean", "std", "low", "high")},
        "more": [e.text(row.get(f"{column}_{e.name}"), baseline) for e in _headed()],
    }


def _headed() -> list[PerAttack]:
    return [e for e in columns.COLUMNS if isinstance(e, PerAttack) and e.heading]


def _seed(board: "Leaderboard", cell: "PublishedCell", evidence: dict[str, Any]) -> Any:
    report = report_of(cell)
    return {
        "seed": cell.seed,
        "accuracy": _accuracies(board, cell),
        "checked": report.samples if report else None,
        "checks": [[f.check, f.passed, said(f, report)] for f in report.findings] if report else [],
        "training": _training(cell.training),
        "evidence": evidence,
    }


def _accuracies(board: "Leaderboard", cell: "PublishedCell") -> dict[str, float]:
    outcomes = dict(cell.outcomes)  # read once
    if not outcomes:
        return {}
    attacks = worst_case_attacks(board.columns, board.board.evaluation)
    if attacks:
        outcomes[WORST_CASE] = Outcomes.worst_of([outcomes[name] for name in attacks])
    if has_best_known(board.result):
        before = outcomes[WORST_CASE if attacks else board.board.evaluation.main_column]
        outcomes[BEST_KNOWN] = lowered(cell.result, before)
    return {name: round(o.accuracy, 6) for name, o in outcomes.items() if not has_none(name, o)}


def _training(epochs: list[dict[str, float | None]]) -> dict[str, list[Any]]:
    """Return one series per logged loss and accuracy, and the epochs."""
    if not epochs:
        return {}
    names = [n for n in epochs[0] if n == "epoch" or n.endswith(("loss", "accuracy"))]
    kept = thinned(epochs, EPOCHS)
    return {name: [_short(epoch.get(name)) for epoch in kept] for name in names}


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
