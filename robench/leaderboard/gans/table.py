"""The tables of a board of GANs, computed from its evidence alone."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from robench.gan.board import GanBoard, ProtocolSpec
from robench.leaderboard.evidence import TABLE
from robench.leaderboard.gans.files import CURVES, METRICS, PAPER, GanEvidence
from robench.leaderboard.safe_csv import to_safe_csv

SCHEMA = 1

DIVERGED = "diverged"
"""The flag of a row of which a training diverged."""

TEXT = {
    TABLE: (
        "defense",
        "discriminator",
        "weights",
        "recipe",
        "seeds",
        "flags",
        "version",
        "digest",
    ),
    METRICS: ("defense", "weights", "protocol", "against"),
    CURVES: ("defense",),
    PAPER: ("defense", "column"),
}
"""File -> the columns that hold text; all others hold numbers."""


def tables(
    board: GanBoard, extractor: str, evidence: Sequence[GanEvidence]
) -> dict[str, pd.DataFrame]:
    """Return file name -> table, without those that are empty.

    Args:
        board: the specification.
        extractor: what distances are called after.
        evidence: all GANs of the board, by row and seed.
    """
    ranking = leaderboard(board, extractor, evidence)
    made = {
        TABLE: ranking,
        METRICS: metrics_table(board, evidence),
        CURVES: curves_table(evidence),
        PAPER: paper_table(board, ranking),
    }
    return {name: table for name, table in made.items() if len(table)}


def tables_text(made: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Return file name -> CSV, in which no spreadsheet sees a formula."""
    return {name: to_safe_csv(table) for name, table in made.items()}


def leaderboard(board: GanBoard, extractor: str, evidence: Sequence[GanEvidence]) -> pd.DataFrame:
    """Return one row per defense, best first by the mean of the column that ranks.

    ``_low`` and ``_high`` are the least and the largest of the seeds; ``rank_low`` and
    ``rank_high`` are the ranks that a row could have if only rows whose ranges do not meet are
    ordered; they are missing if there is one seed, which has no range. A row with a diverged seed
    has no figures, and comes last.
    """
    column = board.ranking_column(extractor)
    rows = [_row(board, extractor, title, _of(evidence, title)) for title in board.titles]
    table = pd.DataFrame(rows)
    known = table[f"{column}_mean"].notna()
    order = table[f"{column}_mean"].rank(ascending=not board.more_is_better, method="min")
    table["rank"] = order.fillna(int(known.sum()) + 1).astype(int)
    ranges = [_ranks(table, i, column, board) for i in range(len(table))]
    table["rank_low"] = [low for low, _ in ranges]
    table["rank_high"] = [high for _, high in ranges]
    table.insert(0, "schema", SCHEMA)
    first = ["schema", "rank", "rank_low", "rank_high"]
    table = table[[*first, *(name for name in table.columns if name not in first)]]
    return table.sort_values(["rank", "defense"], kind="stable", ignore_index=True)


def better(table: pd.DataFrame, one: int, other: int, column: str, board: GanBoard) -> bool:
    """Return whether each seed of one row is better than each seed of another."""
    if board.more_is_better:
        return bool(table[f"{column}_low"][one] > table[f"{column}_high"][other])
    return bool(table[f"{column}_high"][one] < table[f"{column}_low"][other])


def _ranks(table: pd.DataFrame, row: int, column: str, board: GanBoard) -> tuple[float, float]:
    if pd.isna(table[f"{column}_std"][row]):
        return math.nan, math.nan
    others = [i for i in table.index[table[f"{column}_mean"].notna()] if i != row]
    above = sum(better(table, i, row, column, board) for i in others)
    below = sum(better(table, row, i, column, board) for i in others)
    return 1 + above, 1 + len(others) - below


def _of(evidence: Sequence[GanEvidence], title: str) -> list[GanEvidence]:
    return [one for one in evidence if one.file.row == title]


def _row(
    board: GanBoard, extractor: str, title: str, found: Sequence[GanEvidence]
) -> dict[str, Any]:
    """Return a row of the table, without its rank."""
    manifests = [one.file.manifest for one in found if one.file.manifest is not None]
    whole = len(manifests) == len(found)
    values: dict[str, Any] = {
        "defense": title,
        "discriminator": found[0].file.cell.defense,
        "weights": found[0].which(board),
        "recipe": next(
            ", ".join(f"{k}={v}" for k, v in r.gan.items()) for r in board.rows if r.title == title
        ),
        "seeds": " ".join(str(one.seed) for one in found),
    }
    for number, protocol in enumerate(board.measure.protocols):
        first = found[0].file.measured[number].measurement if whole else None
        values[protocol.column("samples")] = protocol.samples
        values[protocol.column("images")] = first.images if first else protocol.images
    for name in board.columns(extractor):
        figures = [_figure(one, name, board) for one in found] if whole else []
        values |= _summary(name, figures)
    symptoms = {name for manifest in manifests for name in manifest.symptoms}
    seconds = [m.training_seconds for m in manifests]
    return values | {
        "flags": " ".join([*sorted(symptoms), *([] if whole else [DIVERGED])]),
        "discriminator_parameters": found[0].file.discriminator_parameters,
        "seconds_per_step": fmean(seconds) / found[0].file.cell.gan.steps if whole else math.nan,
        "version": " ".join(dict.fromkeys(one.version for one in found)),
        "digest": " ".join(_digest(one) for one in found) if whole else "",
    }


def _figure(one: GanEvidence, column: str, board: GanBoard) -> float:
    """Return a metric of the generator that a row measures."""
    for protocol, measured in zip(board.measure.protocols, one.file.measured, strict=False):
        for metric, value in measured.metrics.items():
            if protocol.column(metric) == column and not metric.endswith("_std"):
                return value
    raise KeyError(column)


def _summary(name: str, figures: Sequence[float]) -> dict[str, float]:
    return {
        f"{name}_mean": fmean(figures) if figures else math.nan,
        f"{name}_std": stdev(figures) if len(figures) > 1 else math.nan,
        f"{name}_low": min(figures, default=math.nan),
        f"{name}_high": max(figures, default=math.nan),
    }


def _digest(one: GanEvidence) -> str:
    """Return the first digits of the hash of the weights that were measured."""
    return one.file.measured[0].measurement.weights[:12]


def metrics_table(board: GanBoard, evidence: Sequence[GanEvidence]) -> pd.DataFrame:
    """Return one row per generator and protocol: what was measured, and its metrics."""
    rows = []
    for one in evidence:
        protocols = [*board.measure.protocols]
        for number, measured in enumerate(one.file.measured):
            what = measured.measurement
            protocol: ProtocolSpec = protocols[number] if number < len(protocols) else protocols[0]
            rows.append(
                {
                    "defense": one.file.row,
                    "seed": one.seed,
                    "step": what.step,
                    "weights": what.which,
                    "protocol": protocol.name,
                    "samples": what.samples,
                    "against": what.against,
                    "images": what.images,
                    **measured.metrics,
                }
            )
    return pd.DataFrame(rows)


def curves_table(evidence: Sequence[GanEvidence]) -> pd.DataFrame:
    """Return the logs of all trainings; times are left to the manifests."""
    rows = []
    for one in evidence:
        for row in one.log:
            values = {k: v for k, v in asdict(row).items() if k != "seconds"}
            rows.append({"defense": one.file.row, "seed": one.seed, **values})
    return pd.DataFrame(rows)


def paper_table(board: GanBoard, ranking: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's figures beside ours; empty without any."""
    rows = []
    means = ranking.set_index("defense")
    for title, figures in (board.paper.figures if board.paper else {}).items():
        for column, printed in figures.items():
            if title not in means.index:
                continue  # a board with some of the rows
            ours = float(means[f"{column}_mean"][title])
            rows.append(
                {
                    "defense": title,
                    "column": column,
                    "paper": printed[0],
                    "paper_std": printed[1] if len(printed) > 1 else math.nan,
                    "ours": ours,
                    "difference": ours - printed[0],
                }
            )
    return pd.DataFrame(rows)
