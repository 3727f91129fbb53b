"""``robench status``: how far each cell of a board is."""

from pathlib import Path

from robench.board.board import Board
from robench.runs.run import planned_cells, prepared
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
    return [
        cell_status(cell, title, ctx) for title, cells in planned_cells(plan, ctx) for cell in cells
    ]
