"""The network of a published cell, in a run store of its own that is removed afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from robench.data import DataSet
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun.options import RerunOptions
from robench.leaderboard.rerun.remake import network_again
from robench.runs.context import RunContext
from robench.runs.store import RunStore


@contextmanager
def opened_network(
    board: Leaderboard,
    cell: PublishedCell,
    weights: Path | None,
    dataset: DataSet,
    options: RerunOptions,
) -> Iterator[tuple[nn.Module | None, RunContext]]:
    """Yield the network of a cell, restored from its weights or trained again, and its context.

    Args:
        board: the board as read.
        cell: one of its cells.
        weights: its weights; None to train them again.
        dataset: the images of the board.
        options: how the cell is rerun.

    Yields:
        The network, None if its training diverged; and the context whose store has its weights.

    Raises:
        UserError: if the network cannot be built.
    """
    with tempfile.TemporaryDirectory() as scratch:
        ctx = RunContext(
            store=RunStore(Path(scratch)),
            dataset=dataset,
            evaluation=board.board.evaluation,
            device=options.device,
            reporter=options.reporter,
        )
        yield network_again(cell, weights, board.folder / "model", ctx), ctx
