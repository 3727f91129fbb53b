"""Comparison of a board with the paper's experiment that it reproduces: figures and row order."""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from robench.board.paper import is_share
from robench.board.plan import data_of
from robench.board.recipes import differences
from robench.leaderboard.comparison import compare
from robench.runs.records import BoardResult

FIGURES = (
    "defense", "group", "column", "paper", "paper_std", "ours", "ours_std", "ours_low", "ours_high",
    "difference",
)  # fmt: skip
ORDER = ("group", "column", "pairs", "same", "same_clearly", "reversed", "reversed_clearly")


def paper_figures(result: BoardResult, table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per row and column for which the paper has a figure.

    ``group`` says what the row changes in the data (``label_noise=0.2``): rows are compared within
    their group. ``paper`` and ``paper_std`` are the paper's, all others ours; accuracies and
    success rates are fractions in both. ``difference`` is ours minus the paper's.

    Args:
        result: the finished board.
        table: its leaderboard.
    """
    paper, rows = result.board.paper, {row["defense"]: row for row in table.to_dict("records")}
    lines = []
    for title, figures in (paper.figures if paper else {}).items():
        if title not in rows:
            continue
        for column, (printed, *spread) in figures.items():
            unit = 100 if is_share(column) else 1
            ours = _ours(rows[title], column)
            lines.append(
                {
                    "defense": title,
                    "group": _group(result, title),
                    "column": column,
                    "paper": printed / unit,
                    "paper_std": spread[0] / unit if spread else math.nan,
                    **ours,
                    "difference": ours["ours"] - printed / unit,
                }
            )
    return pd.DataFrame(lines, columns=list(FIGURES))


def paper_order(result: BoardResult, figures: pd.DataFrame) -> pd.DataFrame:
    """Return one line per group and column: for how many pairs of rows our order is the paper's.

    ``same`` and ``reversed`` count the pairs that differ in the paper, by the sign of our
    difference (pairs with equal figures of ours count in neither); ``same_clearly`` and
    ``reversed_clearly`` count those among them that are distinguishable here, by the test of
    ``comparisons.csv`` over the pairs of this column and group (nan for figures other than
    accuracies, which have no test).
    """
    lines = []
    for (group, column), part in figures.groupby(["group", "column"], sort=False):
        known = part.dropna(subset="ours")
        if len(known) < 2:
            continue
        clear = _distinguishable(result, list(known["defense"]), str(column))
        counts = dict.fromkeys(("pairs", "same", "same_clearly", "reversed", "reversed_clearly"), 0)
        for one, other in combinations(known.to_dict("records"), 2):
            theirs = np.sign(one["paper"] - other["paper"])
            if not theirs:
                continue
            counts["pairs"] += 1
            # Rounded: means of the same counts may differ in their last bit.
            agree = theirs * np.sign(round(one["ours"] - other["ours"], 9))
            word = {1: "same", -1: "reversed"}.get(int(agree))
            if word is None:
                continue
            counts[word] += 1
            pair = frozenset((one["defense"], other["defense"]))
            counts[f"{word}_clearly"] += clear is not None and pair in clear
        line: dict[str, Any] = {"group": group, "column": column, **counts}
        if clear is None:
            line |= {"same_clearly": math.nan, "reversed_clearly": math.nan}
        lines.append(line)
    return pd.DataFrame(lines, columns=list(ORDER))


def order_sentences(order: pd.DataFrame) -> Iterator[str]:
    """Yield one sentence per group and column on how far the order of the rows agrees."""
    for line in order.to_dict("records"):
        where = line["column"] + (f", {line['group']}" if line["group"] else "")
        same, other, pairs = (int(line[name]) for name in ("same", "reversed", "pairs"))
        text = f"{where}: in {same} of {pairs} pairs of rows our order is the paper's"
        if other:
            text += f", in {other} it is reversed"
        if math.isnan(line["same_clearly"]):
            yield f"{text}; significance is not tested for this figure."
            continue
        clear = int(line["same_clearly"]) + int(line["reversed_clearly"])
        if not clear:
            yield f"{text}; none of these differences is distinguishable here."
        else:
            yield (
                f"{text}. Distinguishable here: {int(line['same_clearly'])} in the paper's order, "
                f"{int(line['reversed_clearly'])} reversed."
            )


def _ours(row: Mapping[Any, Any], column: str) -> dict[str, float]:
    """Return our figure with its standard deviation and interval; nan for what is missing."""
    kinds = {"ours": "mean", "ours_std": "std", "ours_low": "low", "ours_high": "high"}
    found = {name: float(row.get(f"{column}_{kind}", math.nan)) for name, kind in kinds.items()}
    return found if f"{column}_mean" in row else found | {"ours": float(row.get(column, math.nan))}


def _group(result: BoardResult, title: str) -> str:
    board = result.board
    spec = next((spec for spec in board.row_specs if spec.title == title), None)
    return differences(data_of(board, spec), board.data) if spec else ""


def _distinguishable(
    result: BoardResult, titles: list[str], column: str
) -> set[frozenset[str]] | None:
    """Return the pairs that a column distinguishes; None if it is not an accuracy."""
    if column not in result.columns:
        return None
    robust = {
        row.title: np.stack([cell.outcomes[column].robust for cell in row.cells])
        for row in result.rows
        if row.title in titles and not any(cell.diverged for cell in row.cells)
    }
    pairs = compare(robust).pairs
    found = pairs[pairs["distinguishable"].astype(bool)]
    return {frozenset(pair) for pair in zip(found["first"], found["second"], strict=True)}
