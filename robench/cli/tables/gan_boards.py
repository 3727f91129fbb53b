"""What is printed of boards of GANs."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.words import on_trust, plain
from robench.commands.gan_board import GanVerification
from robench.leaderboard.evidence import TABLE
from robench.leaderboard.gans.notes import gan_notes
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.gans.redraw import EXACT_RELATIVE, RELATIVE


def gan_board_table(board: GanLeaderboard) -> FittedTable:
    """Return the ranking: per row its figures, with the range over the seeds."""
    table = board.computed[TABLE]
    columns = board.board.columns(board.extractor)
    headers = [
        FittedColumn("rank"),
        FittedColumn("defense", "left"),
        *(FittedColumn(plain(name)) for name in columns),
        FittedColumn("s per step"),
        FittedColumn("flags", "left"),
    ]
    rows = [
        [
            rank_text(row),
            plain(str(row["defense"])),
            *(figure_text(row, name) for name in columns),
            number_text(row["seconds_per_step"]),
            plain(str(row["flags"]) or "-"),
        ]
        for row in table.to_dict("records")
    ]
    better = "more" if board.board.more_is_better else "less"
    seeds = len(board.board.seeds)
    return FittedTable(
        board.board.title,
        headers,
        rows,
        keys=2,
        caption=f"ranked by {board.board.ranking_column(board.extractor)}, {better} is better; "
        + ("one seed" if seeds == 1 else f"mean and range over {seeds} seeds"),
    )


def rank_text(row: Mapping[Any, Any]) -> str:
    """Return a rank with the ranks that the row could have: ``2 (1-3)``."""
    low, high = row["rank_low"], row["rank_high"]
    rank = str(row["rank"])
    if pd.isna(low) or low == high:
        return rank
    return f"{rank} ({low:.0f}-{high:.0f})"


def figure_text(row: Mapping[Any, Any], name: str) -> str:
    """Return a mean and, with several seeds, the range."""
    mean = number_text(row[f"{name}_mean"])
    if pd.isna(row[f"{name}_std"]):
        return mean
    return f"{mean} ({number_text(row[f'{name}_low'])} to {number_text(row[f'{name}_high'])})"


def number_text(value: float) -> str:
    """Return a figure to four digits; a dash if there is none."""
    return "-" if pd.isna(value) else f"{value:.4g}"


def gan_board_lines(board: GanLeaderboard) -> Iterator[str | FittedTable]:
    """Yield the ranking, what limits it, and what is wrong with trainings, one line each."""
    yield gan_board_table(board)
    yield from gan_notes(board.board, board.extractor, board.computed[TABLE])
    for one in board.evidence:
        where = f"{one.file.row}, seed {one.seed}"
        if one.file.diverged is not None:
            yield f"Warning: {where}: training diverged: {one.file.diverged.reason}."
        for sentence in one.file.manifest.symptoms.values() if one.file.manifest else ():
            yield f"Warning: {where}: {sentence}."


TRUSTED = (
    "times, device, commit and names",
    "what a paper printed",
    "the choice of rows, seeds and protocols",
    "the logs, that the weights are those of the specified training, and that others diverged",
    "metrics of rows that were not drawn, and of generators kept on the way",
)
"""What neither the files nor the weights can tell."""


def gan_verification_lines(
    found: GanVerification, *, alone: bool = True
) -> Iterator[str | FittedTable]:
    """Yield what ``robench verify`` prints of a board of GANs.

    Args:
        found: the result of the verification.
        alone: whether no other board is verified.
    """
    board, again = found.board, found.again
    yield from (f"wrong: {problem}" for problem in found.problems)
    if again is None:
        return
    rows = len(board.board.titles)
    yield (
        f"{board.name}: {rows} rows, {len(board.evidence)} GANs; checksums, specifications, hashes "
        f"and every table agree with the evidence."
    )
    if len(again.figures):
        yield _again_table(found)
    drawn = f" (drawn with --seed {found.seed})" if 0 < len(found.drawn) < rows else ""
    yield f"{len(again.rows)} of {rows} rows drawn again from weights and seed{drawn}."
    if again.drawn:
        measured = ", and their metrics" if len(again.figures) else ""
        yield f"recomputed: every table; samples of {again.drawn} generators{measured}."
    if alone:
        yield on_trust(TRUSTED)
    yield from (f"not checked: {sentence}" for sentence in found.unchecked)


def _again_table(found: GanVerification) -> FittedTable:
    assert found.again is not None
    headers = [
        FittedColumn("defense", "left"),
        FittedColumn("seed"),
        FittedColumn("column", "left"),
        FittedColumn("published"),
        FittedColumn("found"),
    ]
    rows = [
        [plain(str(row["defense"])), str(row["seed"]), plain(str(row["column"])),
         f"{row['published']:.6g}", f"{row['found']:.6g}"]
        for row in found.again.figures.to_dict("records")
    ]  # fmt: skip
    caption = (
        f"may differ by {RELATIVE:.0%}, and by {EXACT_RELATIVE:.2%} where this machine computes as "
        f"the other did"
    )
    return FittedTable("measured again", headers, rows, keys=3, caption=caption)
