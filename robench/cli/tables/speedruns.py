"""The table of a race: rows of a board with a goal by their seconds of training."""

import math

import pandas as pd

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.words import figure, plain
from robench.leaderboard.speedrun import REACHED, Standing, standings_of
from robench.runs.records import BoardResult


def speedrun_table(result: BoardResult, table: pd.DataFrame) -> FittedTable | None:
    """Return the rows of a race, those that reach the goal first; None without a goal.

    Args:
        result: the finished board.
        table: its leaderboard.
    """
    goal = result.board.goal
    if goal is None:
        return None
    wanted = ", ".join(f"{name} {100 * least:.6g}%" for name, least in goal.accuracy.items())
    headers = [
        FittedColumn("place"),
        FittedColumn("row, hardware", "left"),
        *(FittedColumn(name) for name in ("seconds", "slowest\nseed")),
        *(FittedColumn(name.replace("(", "\n(") + "\nworst seed") for name in goal.accuracy),
        FittedColumn("seeds"),
    ]
    rows = [_cells(row) for row in standings_of(result, table)]
    caption = (
        f"seconds of training epochs, mean over the seeds, and accuracy in %; a place takes "
        f"{goal.seeds} seeds"
    )
    return FittedTable(f"Speedrun to {wanted}", headers, rows, keys=2, caption=caption)


def _cells(row: Standing) -> list[str]:
    below = f"\n[dim]{plain(row.hardware)}[/dim]" if row.hardware else ""
    missed = "" if row.verdict == REACHED else f"\n[red]misses {plain(row.verdict)}[/red]"
    return [
        "-" if row.place is None else str(row.place),
        plain(row.title) + below + missed,
        *(figure(seconds, "{:,.2f}") for seconds in (row.seconds, row.slowest)),
        *(_accuracy(mean, worst) for mean, worst in row.accuracy.values()),
        str(row.seeds),
    ]


def _accuracy(mean: float, worst: float) -> str:
    return "-" if math.isnan(mean) else f"{100 * mean:.1f}\n[dim]{100 * worst:.1f}[/dim]"
