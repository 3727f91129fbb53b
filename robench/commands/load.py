"""``robench.load``: a published network in one line."""

from pathlib import Path

from torch import nn

from robench.board.cells import ExternalCell
from robench.commands.own_model import own_model_options
from robench.data.load import HUB
from robench.errors import UserError
from robench.leaderboard.named import PublishedNetwork, check_known, network_of
from robench.models.checkpoint import load_checkpoint, load_weights
from robench.models.external import build_external, load_external
from robench.models.library_options import check_library_options
from robench.models.normalization import recorded


def load(name: str | Path, *, store: str | Path | None = None) -> nn.Module:
    """Load a published network: images in [0, 1] (B, C, H, W) -> logits (B, classes).

    The sha256 of its weights is compared with the published one, and no code that came with a board
    or repository is executed.

    Args:
        name: ``BOARD/ROW``, or ``BOARD/ROW/SEED`` if another seed than the first is meant. The
            board is the folder of a leaderboard, or the name of one in ``store`` or among those
            that ship with robench. Or ``hf:ORG/NAME``, a repository of the Hugging Face hub, with
            ``@REVISION`` if another commit than the newest is meant.
        store: a folder that ``robench run`` wrote with ``--out``, where leaderboards and weights
            are looked for.

    Returns:
        The network, in eval mode, on the CPU.

    Raises:
        UserError: if there is no such board, row or repository, its weights are not here or not the
            published ones, or it needs code that does not come with robench.

    Example:
        >>> model = load("leaderboards/quick/convnorm")  # doctest: +SKIP
    """
    name = str(name)
    if name.startswith(f"{HUB}:"):
        return load_external(name).module
    return open_network(network_of(name, () if store is None else (Path(store),)))


def open_network(network: PublishedNetwork) -> nn.Module:
    """Return a published network, in eval mode, on the CPU; see :func:`load`.

    Raises:
        UserError: if it needs code that does not come with robench.
    """
    check_known(network)
    if isinstance(network.cell.file.cell, ExternalCell):
        return _third_party(network, network.cell.file.cell)
    return load_checkpoint(network.weights)[0]


def _third_party(network: PublishedNetwork, cell: ExternalCell) -> nn.Module:
    """Return a network that a library builds; code of its author is not run."""
    if not cell.of_library:
        raise UserError(
            f"'{network.cell.row}' is built by code of its author ({cell.architecture}), which "
            f"robench.load does not run: read it in {network.board.folder / 'model'}, after which "
            f"robench attack {own_model_options(network, cell)} runs it."
        )
    check_library_options(cell.architecture)
    model = build_external(cell.architecture, recorded(cell))
    return load_weights(network.weights, model).eval()
