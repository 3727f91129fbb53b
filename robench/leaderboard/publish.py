"""The folder of a leaderboard: its table and the evidence for each cell."""

from pathlib import Path

import pandas as pd

from robench.execution.run import BoardResult
from robench.files import write_json, write_text
from robench.leaderboard.table import to_csv


def write_leaderboard(result: BoardResult, table: pd.DataFrame, folder: Path) -> Path:
    """Write ``leaderboard.csv`` and ``manifests/<row>-seed<n>.json`` and return the CSV's path.

    Args:
        result: the finished board.
        table: made from it.
        folder: where to write; other files in it are left alone.

    Raises:
        UserError: where it cannot be written.
    """
    for row in result.rows:
        slug = "".join(c if c.isalnum() else "_" for c in row.arm.title).strip("_")
        for cell in row.cells:
            write_json(folder / "manifests" / f"{slug}-seed{cell.seed}.json", cell.evidence)
    path = folder / "leaderboard.csv"
    write_text(path, to_csv(table))
    return path
