"""Hold the header of a file of weights against the cell that it is published as."""

from pathlib import Path

from robench.board.cells import Cell
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.models.checkpoint import read_network


def header_difference(board: Leaderboard, cell: PublishedCell, weights: Path) -> str | None:
    """Return what the header of a cell's weights says otherwise than its specification, by name.

    Classes, image size and normalization take the data set, and are not compared here.

    Args:
        board: the board of the cell.
        cell: the cell.
        weights: the file.

    Returns:
        None if all is the same, or if the network is a third-party one, whose file has no header.

    Raises:
        UserError: if the file cannot be read, or robench did not write it.
    """
    spec = cell.file.cell
    if not isinstance(spec, Cell):
        return None
    network, facts = read_network(weights)
    wanted = {
        "backbone": (network.backbone, spec.model.name),
        "width": (network.width, spec.model.width),
        "stem": (network.stem, spec.model.stem),
        "defense": (network.defense, spec.defense),
        "cell": (facts.get("cell"), spec.key),
        "dataset": (facts.get("dataset"), board.dataset),
        "seed": (facts.get("seed"), spec.seed),
        "sources": (facts.get("sources"), spec.sources or None),
    }
    return next((name for name, (stored, own) in wanted.items() if stored != own), None)
