"""Find the weights of published cells, and hold their headers against the manifests."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from robench.board.cells import Cell
from robench.data import DataSet
from robench.leaderboard.evidence import weights_name
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun.options import RerunOptions
from robench.leaderboard.trust import unknown_to, untrusted
from robench.leaderboard.weights_header import header_difference
from robench.models.checkpoint import Network, read_network
from robench.models.weight_files import read_safetensors
from robench.runs.store import CellFolder
from robench.system.provenance import file_hash


def find_weights(folder: Path, cell: PublishedCell, stores: Sequence[str | Path]) -> Path | None:
    """Return the file of a cell's weights; None if no such file is found.

    Searched are the board's own ``weights``, the run store that the board was published in, and
    ``stores``. A file that the manifest describes comes before one that it does not.
    """
    found, manifest = weights_files(folder, cell, stores), cell.file.manifest
    right = (path for path in found if manifest and file_hash(path) == manifest.weights_hash)
    return next(right, found[0] if found else None)


def weights_files(folder: Path, cell: PublishedCell, stores: Sequence[str | Path]) -> list[Path]:
    """Return the files that may hold a cell's weights; see :func:`find_weights`."""
    key = cell.file.cell.key
    cells = [Path(store) / "cells" / key for store in (folder.resolve().parent, *stores)]
    paths = [folder / weights_name(key), *(CellFolder(path).weights for path in cells)]
    return [path for path in paths if path.is_file()]


def weights_problem(board: Leaderboard, cell: PublishedCell, weights: Path) -> str | None:
    """Return why a file does not hold a cell's weights; None if it does.

    Its bytes must be those of the manifest, and what is stored in its header those of the
    specification: cell, network, data set, seed and the sources of its entries.
    """
    manifest = cell.file.manifest
    if manifest is not None and file_hash(weights) != manifest.weights_hash:
        return (
            f"{weights} is not the file that the manifest describes. Weights that were trained on "
            f"another machine, or by another version of torch, differ by rounding: train them here "
            f"and compare the figures with --retrain, or name the published weights with --store."
        )
    if name := header_difference(board, cell, weights):
        return f"the header of {weights} does not have the {name} of the specification."
    return None


def network_problem(cell: PublishedCell, weights: Path, dataset: DataSet) -> str | None:
    """Return how the network that a file describes differs from the specified one; None if not."""
    spec = cell.file.cell
    if isinstance(spec, Cell):
        wanted, (stored, _) = Network.of(spec, dataset), read_network(weights)
        if stored != wanted:
            return f"the header of {weights} describes another network than the specification."
    return None


def types_problem(model: nn.Module, weights: Path) -> str | None:
    """Return which tensor of a file has another type than in the network; None if none has.

    Loading converts it, so that another file gives the same network: robench writes none such.

    Args:
        model: the network, with the weights of the file.
        weights: the file.
    """
    stored = read_safetensors(weights)
    for name, value in model.state_dict().items():
        if name in stored and stored[name].dtype != value.dtype:
            types = [str(t.dtype).removeprefix("torch.") for t in (stored[name], value)]
            return f"{weights} holds '{name[:80]}' as {types[0]}, but its network has {types[1]}."
    return None


def _misfiled(board: Leaderboard, cell: PublishedCell, stores: Sequence[str | Path]) -> Path | None:
    """Return the file with a cell's weights that is filed as another cell; None if there is none.

    It gives away a specification that was rewritten after the training: the key of the cell is its
    hash. Looked at are the board's own ``weights`` and the cells of the same defense in ``stores``.
    """
    manifest = cell.file.manifest
    if manifest is None:
        return None
    for path in _others(board.folder, cell, stores):
        if file_hash(path) == manifest.weights_hash:
            return path
    return None


def _others(folder: Path, cell: PublishedCell, stores: Sequence[str | Path]) -> Iterator[Path]:
    yield from sorted((folder / "weights").glob("*.safetensors"))
    spec = cell.file.cell
    if not isinstance(spec, Cell):
        return
    for store in [folder.resolve().parent, *stores]:
        for path in sorted(Path(store).glob("cells/*/weights.safetensors")):
            if _defense(path) == spec.defense:
                yield path


def _defense(weights: Path) -> str:
    """Return the defense in the header of a weights file; "" if it cannot be read."""
    try:
        return read_network(weights)[0].defense
    except ValueError:  # a UserError: not a file of robench's
        return ""


def out_of_reach(board: Leaderboard, cell: PublishedCell, options: RerunOptions) -> str | None:
    """Return why a network cannot be rerun, whatever files are available; None if it can."""
    if cell.file.manifest is None and not options.retrain:
        return "its training diverged; only --retrain can reproduce it."
    if unknown := unknown_to(cell, board):
        return untrusted(board, unknown, trust=options.trust_code).removeprefix(f"{board.name}: ")
    spec = cell.file.cell
    if isinstance(spec, Cell):
        return None
    if options.retrain:
        return "it is a third-party network, which robench cannot retrain."
    missing = spec.file and not (board.folder / "model" / spec.file).exists()
    if options.trust_code and missing and find_weights(board.folder, cell, options.stores):
        return f"not checked: model/{spec.file}, which builds it, is missing; copy it there."
    if spec.of_library or options.trust_code:
        return None
    code = f"model/{spec.file}" if spec.file else spec.architecture.partition(":")[0]
    return f"the code of {code} was not run; read it, then run it with --trust-code."


def not_here(
    board: Leaderboard, cell: PublishedCell, stores: Sequence[str | Path]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the problem or the note that says why no weights of a cell were found."""
    assert cell.file.manifest is not None
    if (path := _misfiled(board, cell, stores)) is not None:
        problem = (
            f"{path} holds its weights under another specification: that which they were trained "
            f"with is not the published one."
        )
        return (problem,), ()
    digest = cell.file.manifest.weights_hash
    note = (
        f"its weights are not here (sha256 {digest}){weights_elsewhere(board)}; "
        f"copy them to {board.folder / weights_name(cell.file.cell.key)}, name their run's folder "
        f"with --store, or use --retrain."
    )
    return (), (note,)


def weights_elsewhere(board: Leaderboard) -> str:
    """Return the place that a board names for its weights, as part of a sentence; "" if none."""
    return f", but at {board.board.weights_at}, says the board" if board.board.weights_at else ""
