"""Hold the claim that a training diverged against its recipe; nothing else of it is published."""

from collections.abc import Iterator

from robench.board.cells import Cell
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.training.divergence import DIVERGED_AFTER


def divergence_problems(board: Leaderboard) -> Iterator[str]:
    """Yield which cells cannot have diverged as they say, one sentence each."""
    for cell in board.cells:
        if cell.file.diverged and (wrong := _problem(cell, cell.file.diverged.reason)):
            yield f"'{cell.row}', seed {cell.seed}: {wrong}"


def divergence_notes(board: Leaderboard) -> list[str]:
    """Return which cells are said to have diverged, one sentence each: only a training could tell.

    The log of such a training is not published.
    """
    return [
        f"that '{cell.row}', seed {cell.seed}, diverged is on trust: there is no evidence of it."
        for cell in board.cells
        if cell.file.diverged
    ]


def _problem(cell: PublishedCell, reason: str) -> str | None:
    spec = cell.file.cell
    if not isinstance(spec, Cell):
        return "it was not trained here, so its training cannot have diverged."
    epoch = DIVERGED_AFTER.count_in(reason)
    if epoch is None:
        return f"no training ends with the reason '{reason[:80]}'."
    if epoch > spec.training.epochs:
        return f"it diverged after epoch {epoch}, but its training has {spec.training.epochs}."
    if cell.file.checks or cell.file.spectra:
        return "its training diverged, so there is no network to check or to measure."
    return None
