"""The options by which a command takes a published network that robench did not train."""

import shlex
from collections.abc import Sequence

from robench.board.cells import ExternalCell
from robench.leaderboard.named import PublishedNetwork


def own_model_options(network: PublishedNetwork, cell: ExternalCell) -> str:
    """Return ``--model``, what is put before the network, its weights and its images, for a shell.

    Left to themselves, commands put the library's mean and std before a network, or nothing, and
    its accuracy would silently be another than the row's.

    Args:
        network: the published network.
        cell: its specification.
    """
    folder = f"{network.board.folder / 'model'}/" if cell.file else ""
    given = ["--model", f"{folder}{cell.architecture}"]
    if cell.mean is not None and cell.std is not None:
        given += ["--mean", _numbers(cell.mean), "--std", _numbers(cell.std)]
    given += ["--checkpoint", str(network.weights), "--data", cell.data.name]
    return shlex.join(given)


def _numbers(values: Sequence[float]) -> str:
    return ",".join(map(repr, values))
