"""The columns of ``leaderboard.csv``: one list that defines everything about them.

A new entry adds a column to the table and the CSV file, has it read back with its type, describes
it in ``leaderboards/README.md`` (see :mod:`robench.leaderboard.readme`) and, if it has a heading,
shows it among the details of each row of the page.
"""

import hashlib
import itertools
import math
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pandas as pd

from robench.board.cells import ExternalCell
from robench.board.ranking import WORST_CASE
from robench.board.recipes import differences
from robench.leaderboard import certified, speedrun
from robench.leaderboard.column_types import Column, Entry, Kind, PerAttack, RelativeColumn
from robench.leaderboard.comparison import Comparison
from robench.leaderboard.row import ColumnOutcomes, LeaderboardRow, Role, roles
from robench.runs.records import BoardResult

SCHEMA = 1
"""Version of the columns; raised when one is renamed or removed or changes its meaning."""

_EVERYWHERE: tuple[Role, ...] = (
    "clean", "attack", "worst case", "best known", "corruption", "corruptions", "certified",
)  # fmt: skip


def _rank(table: pd.DataFrame, result: BoardResult, _: Comparison) -> Any:
    # Rounded, for equal totals of several seeds have means that differ in their last bit.
    means = table[f"{result.board.evaluation.ranking_column}_mean"].round(9)
    return means.rank(method="min", ascending=False, na_option="bottom").astype(int)


def _rank_low(table: pd.DataFrame, _: BoardResult, comparison: Comparison) -> Any:
    return _compared("rank_low", table, comparison).astype("Int64").to_numpy()


def _rank_high(table: pd.DataFrame, _: BoardResult, comparison: Comparison) -> Any:
    return _compared("rank_high", table, comparison).astype("Int64").to_numpy()


def _group(table: pd.DataFrame, _: BoardResult, comparison: Comparison) -> Any:
    return _compared("group", table, comparison).astype(object).fillna("").to_numpy()


def _compared(name: str, table: pd.DataFrame, comparison: Comparison) -> "pd.Series[Any]":
    """Return one field of the comparison for each row; nan for rows that it leaves out."""
    return comparison.ranks[name].reindex(table["defense"])


def _train_cost(table: pd.DataFrame, result: BoardResult, _: Comparison) -> Any:
    seconds = table["train_seconds_per_epoch"]
    baseline = seconds[table["defense"] == result.board.baseline_row]
    return seconds / (*baseline, math.nan)[0]


def _training(row: LeaderboardRow) -> str:
    return "external" if isinstance(row.cell, ExternalCell) else row.cell.training.method


def _recipe(row: LeaderboardRow) -> str:
    cell, board = row.cell, row.board
    if isinstance(cell, ExternalCell):
        return ""
    training = differences(cell.training, board.training)
    data = differences(cell.data, board.data.model_copy(update={"name": cell.data.name}))
    return ", ".join(filter(None, (training, data)))


def _backbone(row: LeaderboardRow) -> str:
    return row.cell.architecture if isinstance(row.cell, ExternalCell) else row.cell.model.name


def _width(row: LeaderboardRow) -> float:
    return math.nan if isinstance(row.cell, ExternalCell) else row.cell.model.width


def _samples(column: ColumnOutcomes) -> float:
    if column.outcomes:
        return len(column.outcomes[0])
    # A seed diverged. Tables were first published with these values and must keep their bytes.
    return math.nan if column.name == WORST_CASE else 0


def _worst_seed(column: ColumnOutcomes) -> float:
    return min((outcomes.accuracy for outcomes in column.outcomes), default=math.nan)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _flags(row: LeaderboardRow) -> str:
    failed = dict.fromkeys(flag for cell in row.cells for flag in cell.flags)
    return " ".join((["diverged"] if row.diverged else []) + certified.flags(row) + list(failed))


def _certifies(result: BoardResult) -> bool:
    return bool(certified.certificates(result.columns))


def _digest(row: LeaderboardRow) -> str:
    return hashlib.sha256("".join(cell.digest for cell in row.cells).encode()).hexdigest()[:16]


COLUMNS: tuple[Entry, ...] = (
    RelativeColumn("rank", "whole number", "by the ranking column, best first; equal figures share "
                   "a rank", _rank),
    RelativeColumn("rank_low", "whole number", "the best rank that the distinguishable pairs "
                   "leave open: one more than the rows that are distinguishably better",
                   _rank_low),
    RelativeColumn("rank_high", "whole number", "the worst rank that they leave open: the number "
                   "of rows, less those that are distinguishably worse",
                   _rank_high),
    RelativeColumn("group", "text", "letters; two rows share one exactly if they are not "
                   "distinguishable in the ranking column", _group),
    Column("defense", "text", "the row's name", lambda row: row.row.title),
    Column("training", "text", "training method, such as `free` or `standard`; `external` for a "
           "third-party network", _training),
    Column("recipe", "text", "what the row changes in the board's recipe and data", _recipe),
    Column("backbone", "text", "architecture of the network", _backbone, heading="Network"),
    Column("width", "whole number", "channels of the network's first stage", _width,
           heading="Channels of the first stage"),
    Column("dataset", "text", "name of the data set", lambda row: row.result.dataset),
    Column("seeds", "text", "seeds of training and attacks, separated by spaces",
           lambda row: " ".join(str(cell.seed) for cell in row.cells)),
    Column("samples", "whole number", "number of test images",
           lambda row: row.board.evaluation.samples),
    PerAttack("mean", "fraction", "accuracy, mean over the seeds",
              lambda column: column.accuracy.mean, _EVERYWHERE),
    PerAttack("std", "fraction", "standard deviation of the accuracy over the seeds",
              lambda column: column.accuracy.std, _EVERYWHERE),
    PerAttack("low", "fraction", "lower end of the accuracy's 95% Wilson interval",
              lambda column: column.accuracy.low, _EVERYWHERE),
    PerAttack("high", "fraction", "upper end of the accuracy's 95% Wilson interval",
              lambda column: column.accuracy.high, _EVERYWHERE),
    PerAttack("worst_seed", "fraction", "if the board has a goal for the column: accuracy of its "
              "worst seed", _worst_seed,
              ("clean", "attack", "corruption", "certified"), present=speedrun.has_goal_for),
    PerAttack("rounded", "fraction", "share of the adversarial images that are still "
              "misclassified when rounded to 8 bits per channel",
              lambda column: column.mean(attrgetter("survive_rounding")),
              ("attack",), heading="misclassified at 8 bits, %"),
    PerAttack("samples", "whole number", "images given to the attack or, for the worst case, to "
              "each of its attacks", _samples, ("counts queries", "worst case")),
    PerAttack("success", "fraction", "success rate of the attack",
              lambda column: column.mean(attrgetter("success_rate")), ("counts queries",),
              heading="attack success, %"),
    PerAttack("queries", "number", "mean number of queries over all attacked images",
              lambda column: column.mean(attrgetter("mean_queries")), ("counts queries",),
              heading="mean queries", form="{value:,.0f}"),
    PerAttack("queries_of_successes", "number", "mean number of queries over the successes",
              lambda column: column.mean(attrgetter("mean_queries_of_successes")),
              ("counts queries",)),
    Column("train_seconds_per_epoch", "timing", "median seconds per epoch, mean over the seeds",
           lambda row: sum(c.seconds_per_epoch for c in row.cells) / len(row.cells),
           heading="Seconds per epoch"),
    RelativeColumn("train_cost", "timing", "seconds per epoch relative to the baseline row",
                   _train_cost, heading="Training time",
                   form="{value:.2f}\N{MULTIPLICATION SIGN} {baseline}"),
    Column("train_seconds", "timing", "if the board has a goal: seconds of all epochs, mean over "
           "the seeds", speedrun.mean_seconds, present=speedrun.has_goal,
           heading="Seconds of training"),
    Column("train_seconds_most", "timing", "if the board has a goal: the same of the slowest seed",
           speedrun.most_seconds, present=speedrun.has_goal,
           heading="Seconds of training, slowest seed"),
    Column("goal", "text", "if the board has a goal: `reached`, or what is missed, such as "
           "`autoattack -1.2` (percentage points) or `seeds 3 of 10`", speedrun.verdict,
           present=speedrun.has_goal, heading="Goal"),
    Column("parameters", "whole number", "trainable parameters",
           lambda row: row.row.costs.parameters, heading="Parameters"),
    Column("multiply_adds", "whole number", "multiply-adds per image at inference, as counted by "
           "torch (FFTs and matrix inversions are not counted; a product of complex numbers, as in "
           "`cayley`, `lot` and `bro`, counts as one, though it takes four)",
           lambda row: _number(row.row.costs.multiply_adds), heading="Multiply-adds per image"),
    Column("training_memory_mib", "number", "peak memory of all tensors during the forward and "
           "backward pass of a training batch, without the optimizer, in MiB",
           lambda row: _number(row.row.costs.training_memory_mib),
           heading="Training memory", form="{value:.1f} MiB"),
    Column("condition_ratio", "number", "if the board sets `spectra`: arithmetic mean over the "
           "layers of the condition number of the baseline's convolution divided by the row's, "
           "mean over the seeds", lambda row: row.condition_ratios["arithmetic"],
           present=lambda result: result.board.evaluation.spectra),
    Column("condition_ratio_geometric", "number", "the same with the geometric mean over the "
           "layers", lambda row: row.condition_ratios["geometric"],
           present=lambda result: result.board.evaluation.spectra),
    Column("mean_radius", "number", "if the board has certificates: mean certified radius over all "
           "images, mean over the seeds; misclassified images have radius 0", certified.mean_radius,
           present=_certifies, heading="Mean certified radius"),
    Column("lipschitz", "number", "if the board has certificates: proved upper bound on the "
           "Lipschitz constant from pixels in [0, 1] to logits, the largest of the seeds",
           certified.lipschitz, present=_certifies, heading="Lipschitz constant at most"),
    Column("unsound", "whole number", "if the board has certificates: images that an attack fooled "
           "within their certified radius, all seeds together; 0 unless a proof is wrong",
           certified.unsound, present=_certifies, heading="Fooled within their certified radius"),
    Column("flags", "text", "checks that failed for any seed, separated by spaces, `diverged` or "
           "`collapsed` of training, and `unproved` or `unsound` of certificates; the manifests "
           "hold the full findings",
           _flags),
    Column("version", "text", "commit of the code that trained the networks",
           lambda row: " ".join(sorted({cell.version for cell in row.cells})), heading="Commit"),
    Column("digest", "text", "hash of specifications, weights and outcomes", _digest,
           heading="Digest"),
    Column("schema", "whole number", f"version of these columns: {SCHEMA}; raised when one is "
           "renamed or removed or changes its meaning", lambda row: SCHEMA),
)  # fmt: skip
"""In the order of the table; adjacent entries per attack are grouped by attack."""


def columns_of_table(result: BoardResult) -> Iterator[tuple[str, Entry, str]]:
    """Yield the name of each column of a board's table, its entry, and the column evaluated.

    The last is a name in :func:`robench.leaderboard.row.roles` for entries per attack, else empty.
    """
    evaluated = roles(result)
    for per_attack, block in itertools.groupby(COLUMNS, lambda e: isinstance(e, PerAttack)):
        entries = list(block)
        for name, own in evaluated.items() if per_attack else [("", frozenset[Role]())]:
            for entry in entries:
                if isinstance(entry, PerAttack):
                    if own.intersection(entry.of) and entry.present(result, name):
                        yield f"{name}_{entry.name}", entry, name
                elif not isinstance(entry, Column) or entry.present(result):
                    yield entry.name, entry, ""


def text_columns() -> list[str]:
    """Return the names of the columns that hold text; all others hold numbers."""
    return [entry.name for entry in COLUMNS if entry.kind == "text"]


def kind_of(name: str) -> Kind | None:
    """Return the kind of a column of a table; None for a name that belongs to no entry."""
    for entry in COLUMNS:
        if name == entry.name and not isinstance(entry, PerAttack):
            return entry.kind
    families = [e for e in COLUMNS if isinstance(e, PerAttack) and name.endswith(f"_{e.name}")]
    return max(families, key=lambda e: len(e.name)).kind if families else None
