"""What a reader of a ranking of GANs must know, in sentences."""

import math
from itertools import combinations

import pandas as pd

from robench.gan.board import GanBoard
from robench.gan.metrics.extractors import INCEPTION
from robench.leaderboard.gans.table import better

_NAMED = 5
"""How many pairs of rows a sentence names."""


def gan_notes(board: GanBoard, extractor: str, table: pd.DataFrame) -> list[str]:
    """Return what limits the figures of a board, one sentence each.

    Args:
        board: the specification.
        extractor: what distances are called after.
        table: the leaderboard.
    """
    notes = [noise_sentence(board), *overlap_sentences(board, extractor, table)]
    if extractor != INCEPTION:
        notes.append(
            f"Distances in the features of {extractor} are neither FID nor KID: they compare the "
            f"rows of this board with one another, and with nothing else."
        )
    return notes


def noise_sentence(board: GanBoard) -> str:
    """Return what the number of seeds lets one say."""
    seeds = len(board.seeds)
    if seeds == 1:
        return (
            "There is one seed, so nothing here shows how far another seed would move a figure: "
            "the order of the rows may be chance."
        )
    # All orders of the seeds of two equal rows are as likely; in two of them the rows are apart.
    chance = 2 / math.comb(2 * seeds, seeds)
    return (
        f"Each row has {seeds} seeds, and its range is that of these seeds; no test of "
        f"significance is made. Of two rows that are equal, the ranges do not meet in "
        f"{100 * chance:.2g}% of the cases."
    )


def overlap_sentences(board: GanBoard, extractor: str, table: pd.DataFrame) -> list[str]:
    """Return of which rows the ranges over the seeds meet, so that nothing orders them."""
    if len(board.seeds) == 1:
        return []
    column = board.ranking_column(extractor)
    known = [i for i in table.index if pd.notna(table[f"{column}_mean"][i])]
    names = [
        f"'{table['defense'][i]}' and '{table['defense'][j]}'"
        for i, j in combinations(known, 2)
        if not better(table, i, j, column, board) and not better(table, j, i, column, board)
    ]
    if not names:
        return []
    more = f", and {len(names) - _NAMED} further pairs" if len(names) > _NAMED else ""
    return [f"Ranges by {column} overlap for {', '.join(names[:_NAMED])}{more}."]
