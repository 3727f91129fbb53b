"""What a command on a network calls a checkpoint: a file, its folder, or a published row."""

from pathlib import Path

from robench.board.cells import ExternalCell
from robench.commands.own_model import own_model_options
from robench.errors import UserError
from robench.leaderboard.evidence import was_run
from robench.leaderboard.named import check_known, find_network


def checkpoint_file(path: Path) -> Path:
    """Return the weights that a path names; a path that names no row is returned as it is.

    Args:
        path: a ``weights.safetensors``, the folder that holds one, or a row of a leaderboard as
            for :func:`robench.load`: ``BOARD/ROW`` or ``BOARD/ROW/SEED``.

    Raises:
        UserError: if there is no such row or seed, its weights are not here or not those that were
            published, or robench did not train it.
    """
    if path.exists() and not was_run(path):
        return path
    network = find_network(str(path))
    if network is None:
        return path
    check_known(network)
    cell = network.cell.file.cell
    if isinstance(cell, ExternalCell):
        raise UserError(
            f"'{network.cell.row}' of {network.board.name} was not trained by robench; name what "
            f"builds it: {own_model_options(network, cell)} instead of the row."
        )
    return network.weights
