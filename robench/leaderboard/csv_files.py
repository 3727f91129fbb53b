"""The CSV files of a leaderboard's folder, read with the types that their columns have."""

import pandas as pd

from robench.leaderboard import comparison, derived
from robench.leaderboard.columns import text_columns
from robench.leaderboard.evidence import COMPARISONS, TABLE
from robench.leaderboard.safe_csv import read_safe_csv


def read_csv(text: str, file: str, where: str | None = None) -> pd.DataFrame:
    """Read what :func:`robench.leaderboard.table.to_csv` wrote, with the types it had.

    Args:
        text: of the file.
        file: its name, which says what it holds: ``leaderboard.csv``, ``comparisons.csv`` or one of
            :mod:`robench.leaderboard.derived`.
        where: what is read, for the message; the file's name if left out.

    Raises:
        UserError: where it is no such table.
    """
    text_of = {COMPARISONS: comparison.TEXT, **derived.TEXT}
    names = text_columns() if file == TABLE else text_of[file]
    return read_safe_csv(text, names, where or file)
