"""The tables other than ``leaderboard.csv`` that are computed from the evidence."""

import pandas as pd

from robench.leaderboard.conditioning import spectra_table
from robench.leaderboard.curves import training_curves
from robench.leaderboard.paper import paper_figures, paper_order
from robench.runs.records import BoardResult

CURVES, SPECTRA, PAPER, ORDER = "curves.csv", "spectra.csv", "paper.csv", "paper_order.csv"

KEYS = {
    CURVES: ["defense", "seed", "epoch"],
    SPECTRA: ["defense", "seed", "layer", "operator"],
    PAPER: ["defense", "column"],
    ORDER: ["group", "column"],
}
"""File -> the columns that identify its lines."""

TEXT = {
    CURVES: ("defense",),
    SPECTRA: ("defense", "layer", "operator"),
    PAPER: ("defense", "group", "column"),
    ORDER: ("group", "column"),
}
"""File -> the columns that hold text; all others hold numbers."""


def derived_tables(result: BoardResult, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return file name -> table, for the tables that are not empty.

    Args:
        result: the finished board.
        table: its leaderboard.
    """
    figures = paper_figures(result, table)
    made = {
        CURVES: training_curves(result),
        SPECTRA: spectra_table(result),
        PAPER: figures,
        ORDER: paper_order(result, figures),
    }
    return {name: found for name, found in made.items() if len(found)}
