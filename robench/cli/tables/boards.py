"""Tables of leaderboards, verifications and plans."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group
from rich.table import Table

from robench.board.board import Board
from robench.board.ranking import COMBINED
from robench.cli.tables.fitted import FittedColumn, FittedTable, Listing
from robench.cli.tables.networks import precision
from robench.cli.tables.words import figure, plain
from robench.commands.reproduce import State
from robench.leaderboard.order import extent_note, ranking_notes, shown_columns
from robench.runs.records import BoardResult, CellResult


def leaderboard_table(
    board: Board, table: pd.DataFrame, title: str, *, result: BoardResult | None = None
) -> FittedTable:
    """Return the leaderboard for the console: percent, mean ± std, 95% interval below.

    Args:
        board: the specification.
        table: the figures.
        title: a line above.
        result: the outcomes, which say in what precision gradients were taken.
    """
    columns = shown_columns(board, table, result.columns if result else None)
    querying = [c for c in columns if f"{c}_queries" in table]
    ranking = board.evaluation.ranking_column
    headers = [
        FittedColumn("#"),
        FittedColumn("defense", "left"),
        *(FittedColumn(_short(c, columns) + (" ▼" if c == ranking else "")) for c in columns),
        *(FittedColumn(f"{_short(column, columns)}\nqueries") for column in querying),
        FittedColumn("s/epoch"),
    ]
    rows = [
        [
            f"{row['rank']}\n[dim]{row['group']}[/dim]",
            plain(row["defense"]) + _remarks(row),
            *(_accuracy(row, column) for column in columns),
            *(figure(row[f"{column}_queries"], "{:.0f}") for column in querying),
            figure(row["train_seconds_per_epoch"], "{:.1f}"),
        ]
        for row in table.to_dict("records")
    ]
    taken = gradients_of(result) if result is not None else ""
    notes = [caption(table), *_legend(columns), *([precision(taken)] if taken else [])]
    if result is not None and ranking in COMBINED:
        said = [*ranking_notes(result, table), extent_note(table)]
        notes += [note.rstrip(".") for note in said if note]
    return FittedTable(title, headers, rows, keys=2, caption="; ".join(notes))


def gradients_of(result: BoardResult) -> str:
    """Return the precisions in which a board's attacks took gradients, such as ``bf16``."""
    manifests = (cell.evidence.manifest for row in result.rows for cell in row.cells)
    entries = (entry for m in manifests if m is not None for entry in m.outcomes.values())
    found = {entry.gradients for entry in entries if entry.column != "clean"}
    return " and ".join(sorted(found))


def flag_lines(result: BoardResult) -> list[str]:
    """Return the sentences of the failed checks and the reasons of divergence, one line each."""
    return [
        f"{row.title}, seed {cell.seed}: {name}: {sentence}"
        for row in result.rows
        for cell in row.cells
        for name, sentence in {**_divergence(cell), **cell.flags}.items()
    ]


def _divergence(cell: CellResult) -> dict[str, str]:
    note = cell.evidence.diverged
    return {} if note is None else {"diverged": f"{note.reason}; try a lower training.lr."}


def _remarks(row: dict[Any, Any]) -> str:
    """Return the lines below a row's name: its recipe and its flags."""
    recipe = f"\n[dim]{plain(row['recipe'])}[/dim]" if row["recipe"] else ""
    return recipe + (f"\n[red]{row['flags']}[/red]" if row["flags"] else "")


def caption(table: pd.DataFrame) -> str:
    """Return the caption of a leaderboard: what its figures are computed from."""
    first = table.iloc[0]
    networks = dict.fromkeys(
        backbone if pd.isna(width) else f"{backbone} of width {width:g}"
        for backbone, width in zip(table["backbone"], table["width"], strict=True)
    )
    return (
        f"{first['dataset']}, {', '.join(networks)}, "
        f"seeds {first['seeds']}, {first['samples']} test images; robust accuracy in % with 95% "
        f"interval (Wilson); rows that share a letter are not distinguishable (Holm, 5%); "
        f"robench {first['version']}"
    )


def plan_tables(
    samples: pd.DataFrame, seeds: pd.DataFrame, difference: float, power: float
) -> list[Group]:
    """Return the tables of ``robench plan``: images for two networks, seeds for two defenses."""
    style: dict[str, Any] = {"box": box.SIMPLE_HEAD, "pad_edge": False}
    goal = f"{difference:g} points, detected with {100 * power:g}% power at the 5% level"
    images = Table(**style)
    for name in ("disagree on", "test images"):
        images.add_column(name, justify="right")
    for disagreement, count in zip(samples["disagreement"], samples["samples"], strict=True):
        images.add_row(f"{100 * disagreement:.1f}% of them", f"{count:,}")
    trainings = Table(**style)
    for name in ("std over seeds", "seeds of each"):
        trainings.add_column(name, justify="right")
    for spread, count in zip(seeds["seed_std"], seeds["seeds"], strict=True):
        trainings.add_row(f"{100 * spread:.2f} points", f"{count:,}")
    # Titles are separate: Rich wraps a title at the width of its table, and these are narrow.
    return [
        Group(f"Two networks that differ by {goal}", images),
        Group(f"Two defenses whose means differ by {goal}", trainings),
    ]


def states_table(states: Sequence[State]) -> Listing:
    """Return the papers' tables and figures with the state of each."""
    rows = []
    for state in states:
        provenance = f"\n[dim]{plain(state.provenance)}[/dim]" if state.provenance else ""
        status = plain(state.state) + provenance
        rows.append([plain(state.item), plain(state.board), state.scale, str(state.cells), status])
    return Listing(
        ", ".join(dict.fromkeys(state.source for state in states)),
        ("paper", "board", "scale", "networks", "state"),
        rows,
        caption="robench run BOARD runs a board; for an image folder or ImageNet, add "
        "--data-dir DIR.",
    )


def _accuracy(row: dict[Any, Any], column: str) -> str:
    mean, std = row[f"{column}_mean"], row[f"{column}_std"]
    if math.isnan(mean):
        return "-"
    spread = "" if math.isnan(std) else f" ± {100 * std:.1f}"
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    return f"{100 * mean:.1f}{spread}\n[dim]{100 * low:.0f}-{100 * high:.0f}[/dim]"


def _short(column: str, columns: Sequence[str]) -> str:
    """Return a column's name without options, or with them on a second line if others share it."""
    name = column.partition("(")[0]
    others = [other.partition("(")[0] for other in columns if other != column]
    return f"{name}\n{column.removeprefix(name)}".strip() if name in others else name


def _legend(columns: Sequence[str]) -> list[str]:
    """Return what the shortened names of columns stand for."""
    short = {column: _short(column, columns) for column in columns}
    return [f"{n} is {column}" for column, n in short.items() if n.replace("\n", "") != column]
