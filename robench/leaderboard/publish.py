"""The folder of a leaderboard: its table and the evidence for each cell."""

from pathlib import Path

import pandas as pd

from robench.execution.run import BoardResult
from robench.files import write_json, write_text
from robench.leaderboard.comparison import Comparison
from robench.leaderboard.table import to_csv


def write_leaderboard(
    result: BoardResult, table: pd.DataFrame, comparison: Comparison, folder: Path
) -> Path:
    """Write ``leaderboard.csv``, ``comparisons.csv`` and ``manifests/<row>-seed<n>.json``.

    Args:
        result: the finished board.
        table: made from it.
        comparison: of its rows.
        folder: where to write; other files in it are left alone.

    Returns:
        The path of ``leaderboard.csv``.

    Raises:
        UserError: where it cannot be written.
    """
    for row in result.rows:
        slug = "".join(c if c.isalnum() else "_" for c in row.arm.title).strip("_")
        for cell in row.cells:
            write_json(folder / "manifests" / f"{slug}-seed{cell.seed}.json", cell.evidence)
    write_text(folder / "comparisons.csv", to_csv(comparison.pairs))
    path = folder / "leaderboard.csv"
    write_text(path, to_csv(table))
    return path
