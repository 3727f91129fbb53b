"""Check that the tables of a published board are what a page or an export can be made of.

``robench verify`` says whether they are right; a page is also made of a board that is not.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from robench.errors import UserError, shortened
from robench.leaderboard import conditioning, curves, paper
from robench.leaderboard.columns import columns_of_table, text_columns
from robench.leaderboard.comparison import TEXT as PAIRS
from robench.leaderboard.derived import CURVES, ORDER, PAPER, SPECTRA, TEXT
from robench.leaderboard.evidence import COMPARISONS, TABLE
from robench.leaderboard.published import Leaderboard

_LARGEST = 1e18
"""Largest size of a figure; whole numbers up to here fit 64 bits."""

_NUMBERS_OF_PAIRS = ("difference", "low", "high", "disagreement", "p_holm", "distinguishable")

_COLUMNS = {
    CURVES: curves.COLUMNS,
    SPECTRA: ("defense", "seed", "layer", "operator", *conditioning.FIGURES),
    PAPER: paper.FIGURES,
    ORDER: paper.ORDER,
}


def usable_table(board: Leaderboard) -> pd.DataFrame:
    """Return ``leaderboard.csv``, best first, once it is known to have all that is read from it.

    Raises:
        UserError: if it cannot be read, lacks a column, has a row twice or without a manifest, or
            has a rank or figure that is out of range.
    """
    table, where = board.table, board.folder / TABLE
    _check_columns(table, [name for name, _, _ in columns_of_table(board.result)], where)
    _check_numbers(table, set(table.columns) - set(text_columns()), where)
    titles = table["defense"].tolist()
    if len(set(titles)) < len(titles):
        raise UserError(f"{where} has a row twice; publish the board again.")
    known = {cell.row for cell in board.cells}
    if odd := [title for title in titles if title not in known]:
        raise UserError(f"{where} has the row '{shortened(odd[0])}', which has no manifest.")
    if table["rank"].isna().any() or (table["rank_low"].isna() != table["rank_high"].isna()).any():
        raise UserError(f"{where} has a row without rank; publish the board again.")
    return table


def check_tables(board: Leaderboard) -> None:
    """Check all tables of a board; see :func:`usable_table`.

    Raises:
        UserError: if one cannot be read, lacks a column or has a figure that is out of range.
    """
    usable_table(board)
    pairs, where = board.comparisons, board.folder / COMPARISONS
    _check_columns(pairs, [*PAIRS, *_NUMBERS_OF_PAIRS], where)
    _check_numbers(pairs, _NUMBERS_OF_PAIRS, where)
    if pairs[list(_NUMBERS_OF_PAIRS)].isna().any(axis=None):
        raise UserError(f"{where} lacks a figure; publish the board again.")
    for name, found in board.derived.items():
        where = board.folder / name
        _check_columns(found, _COLUMNS[name], where)
        _check_numbers(found, set(_COLUMNS[name]) - set(TEXT[name]), where)


def _check_columns(table: pd.DataFrame, wanted: Iterable[str], where: Path) -> None:
    if missing := [name for name in wanted if name not in table]:
        raise UserError(
            f"{where} has no column '{shortened(missing[0])}': it is damaged or of another board; "
            f"publish the board again."
        )


def _check_numbers(table: pd.DataFrame, names: Iterable[str], where: Path) -> None:
    for name in names:
        values = table[name].astype(float)
        if ((values < -_LARGEST) | (values > _LARGEST)).any():
            raise UserError(
                f"{where} has a figure beyond {_LARGEST:g} in the column '{shortened(name)}'; "
                f"publish the board again."
            )
