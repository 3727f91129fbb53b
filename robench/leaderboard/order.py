"""How far the order of the rows depends on what ranks them, and what the worst case leaves out."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from robench.board.board import Board
from robench.board.ranking import (
    BEST_KNOWN,
    COMBINED,
    CORRUPTION,
    DEFAULT_RANKING_COLUMN,
    WORST_CASE,
    has_autoattack,
)
from robench.checks.wording import some
from robench.errors import UserError
from robench.leaderboard.row import worst_case_attacks
from robench.registry import attacks
from robench.runs.records import BoardResult, EvaluatedColumn

_NAMED = 3
"""How many pairs of rows a sentence names."""


def shown_columns(
    board: Board, table: pd.DataFrame, recorded: Mapping[str, EvaluatedColumn] | None = None
) -> list[str]:
    """Return the columns of short tables.

    What is evaluated, certificates included, but of corruptions only the mean; what ranks if it is
    combined of these, and what is lowered by challenges.

    Args:
        board: the specification.
        table: the figures.
        recorded: what is recorded of columns, if it is known; else the attacks that are registered
            here say which are corruptions.
    """
    combined = [name for name in COMBINED if name == board.evaluation.ranking_column]
    if BEST_KNOWN not in combined and f"{BEST_KNOWN}_mean" in table:
        combined.append(BEST_KNOWN)
    columns = list(board.evaluation.columns)
    if f"{CORRUPTION}_mean" in table:
        combined.append(CORRUPTION)
        known = {name: column.corrupts for name, column in (recorded or {}).items()}
        columns = [
            name
            for name in columns
            if name == "clean" or not (known[name] if name in known else _corrupts(name, table))
        ]
    return [*columns, *combined]


def _corrupts(name: str, table: pd.DataFrame) -> bool:
    """Return whether a column is that of a corruption."""
    try:
        build = attacks.lookup(name)[0].build
    except UserError:  # of a plugin that is not loaded: it has no figure that only attacks have
        return f"{name}_rounded" not in table
    return bool(getattr(build, "corrupts", False))


def ranking_notes(result: BoardResult, table: pd.DataFrame) -> list[str]:
    """Return what a reader of a ranking by attacks must know, one sentence each.

    How the order by PGD-20, or else by the column whose threat model the board has, differs from
    that by the worst case, or by the best known attack if that ranks; and whether the worst case
    has no AutoAttack. Attacks that no row has are not named. Empty for a board without a worst
    case.

    Args:
        result: the finished board.
        table: its leaderboard.
    """
    evaluation = result.board.evaluation
    taken = [
        name
        for name in worst_case_attacks(result.columns, evaluation)
        if table[f"{name}_mean"].notna().any()
    ]
    if not taken:
        return []
    usual = DEFAULT_RANKING_COLUMN
    column = usual if usual in taken else evaluation.main_column
    other = BEST_KNOWN if evaluation.ranking_column == BEST_KNOWN else WORST_CASE
    differ = len(taken) > 1 or other == BEST_KNOWN
    notes = [order_sentence(table, column, other)] if differ else []
    if not has_autoattack(taken):
        over = f"{'this attack' if len(taken) == 1 else 'these attacks'} ({', '.join(taken)})"
        notes.append(f"The worst case over {over} has no AutoAttack.")
    return [note for note in notes if note]


def extent_note(table: pd.DataFrame) -> str:
    """Return on how many images the worst case is; "" if on all, or there is none.

    It is no part of :func:`ranking_notes`: the README of a submission has these, and is compared
    with what the suite writes.
    """
    name = f"{WORST_CASE}_samples"
    if name not in table or not (table[name] < table["samples"]).any():
        return ""
    given, whole = int(table[name].min()), int(table["samples"].max())
    several = f"{BEST_KNOWN}_mean" in table
    verb, their = ("are", "their") if several else ("is", "its")
    combined = f"{WORST_CASE} and {BEST_KNOWN}" if several else WORST_CASE
    return (
        f"{combined} {verb} on the first {given:,} of the {whole:,} images, which all of {their} "
        f"attacks were given."
    )


def order_sentence(table: pd.DataFrame, column: str, other: str) -> str:
    """Return how the order of the rows by one column differs from that by another.

    Pairs of rows are counted that are in one order by the first and in the reverse by the second;
    a pair with equal figures in either is not. Rows without figures are left out.

    Args:
        table: a leaderboard.
        column: the column whose order may mislead.
        other: the column that it is held against.

    Returns:
        One sentence; empty if fewer than two rows have figures.
    """
    names = [f"{column}_mean", f"{other}_mean"]
    known = table.dropna(subset=names).sort_values(names[1], ascending=False, kind="stable")
    if len(known) < 2:
        return ""
    figures = known[names].to_numpy(dtype=float).round(9)  # means of counts may differ in a bit
    titles = known["defense"].astype(str).tolist()
    pairs = [*combinations(range(len(known)), 2)]
    reversed_ = [
        f"'{titles[i]}' and '{titles[j]}'"
        for i, j in pairs
        if np.prod(np.sign(figures[i] - figures[j])) < 0
    ]
    if not reversed_:
        return f"The order by {column} reverses no pair of rows of that by {other}."
    further = len(reversed_) - _NAMED
    more = f", and {further} further pairs" if further > 1 else ", and a further pair"
    tau = float(kendalltau(figures[:, 0], figures[:, 1]).statistic)
    agreement = "" if np.isnan(tau) else f" (Kendall's tau {tau:.2f})"
    return (
        f"The order by {column} reverses {len(reversed_)} of {some(len(pairs), 'pair')} of rows of "
        f"that by {other}{agreement}: {', '.join(reversed_[:_NAMED])}{more if further > 0 else ''}."
    )
