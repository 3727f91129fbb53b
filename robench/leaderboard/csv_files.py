"""Read the CSV files of a leaderboard's folder with the types of their columns."""

import pandas as pd

from robench.leaderboard import comparison, derived
from robench.leaderboard.columns import text_columns
from robench.leaderboard.evidence import COMPARISONS, TABLE
from robench.leaderboard.safe_csv import read_safe_csv


def read_csv(text: str, file: str, where: str | None = None) -> pd.DataFrame:
    """Read what :func:`robench.leaderboard.table.to_csv` wrote, with the original types.

    Args:
        text: the content of the file.
        file: its name, which determines its columns: ``leaderboard.csv``, ``comparisons.csv`` or
            one of :mod:`robench.leaderboard.derived`.
        where: what is read, for error messages; the file's name by default.

    Raises:
        UserError: if it is not such a table.
    """
    text_of = {COMPARISONS: comparison.TEXT, **derived.TEXT}
    names = text_columns() if file == TABLE else text_of[file]
    return read_safe_csv(text, names, where or file)
