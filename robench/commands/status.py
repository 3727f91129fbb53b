"""``robench status``: how far each cell of a board is."""

from collections.abc import Sequence
from pathlib import Path

from robench.board.board import Board
from robench.board.loading import is_gan_board
from robench.board.overrides import find_board, open_board
from robench.gan.board import open_gan_board
from robench.runs.gan_status import gan_statuses
from robench.runs.run import planned_cells, prepared, transfer_sources
from robench.runs.status import CellStatus, cell_status


def board_status(board: Board, *, out: Path, data_dir: Path | None = None) -> list[CellStatus]:
    """Return how far each cell of a board is, in the order of its rows and seeds.

    Args:
        board: the specification.
        out: the folder of the run store.
        data_dir: the folder where the data set is; its images are part of a cell's identity.

    Raises:
        UserError: if the board or the data set is not valid, or a note in the store is damaged.
    """
    plan, ctx = prepared(board, out, data_dir)
    planned = planned_cells(plan, ctx)
    sources = transfer_sources(plan, planned)
    return [
        cell_status(cell, title, ctx, sources.get((title, cell.seed)))
        for title, cells in planned
        for cell in cells
    ]


def named_board_status(
    name: str,
    *,
    out: Path,
    data_dir: Path | None = None,
    rows: str | None = None,
    seeds: str | None = None,
    changes: Sequence[str] = (),
) -> tuple[str, list[CellStatus]]:
    """Return the title of a board, of classifiers or of GANs, and how far each cell of it is.

    Args:
        name: see :func:`robench.board.overrides.open_board`, as for ``rows``, ``seeds`` and
            ``changes``.
        out: the folder of the run store.
        data_dir: the folder where the data set is.
        rows: rows that replace the board's.
        seeds: seeds that replace the board's.
        changes: values that are changed.

    Raises:
        UserError: if the board or the data set is not valid, or a note in the store is damaged.
    """
    if is_gan_board(find_board(name)[1]):
        _, gans = open_gan_board(name, rows=rows, seeds=seeds, changes=changes)
        return gans.title, gan_statuses(gans, out=out, data_dir=data_dir)
    _, board = open_board(name, rows=rows, seeds=seeds, changes=changes)
    return board.title, board_status(board, out=out, data_dir=data_dir)
