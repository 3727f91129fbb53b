"""Validate the weights of a submission: safetensors files that must fit their networks."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch

from robench.board.cells import Cell, ExternalCell
from robench.errors import UserError
from robench.leaderboard.submission import limits
from robench.leaderboard.submission.limits import shown
from robench.models.checkpoint import METADATA_KEY, Network, read_network
from robench.models.external import build_external
from robench.models.library_options import check_library_options
from robench.registry import backbones
from robench.system.json_files import depth_of
from robench.system.out_of_memory import is_out_of_memory
from robench.system.reading import Refused
from robench.system.tensor_files import check_safetensors
from robench.system.values import DEPTH

Shapes = Mapping[str, tuple[int, ...]]

_OF_NETWORK = 4
"""Largest ratio of a network's weights to those in its file; defenses never share more."""

_LARGEST = 100_000
"""Largest number of classes, channels or width of a network."""


def check_weights(path: Path, name: str, cell: Cell | ExternalCell) -> None:
    """Check a safetensors file: names, sizes, finite values, and whether it fits the network.

    Networks are built on the meta device only: a small file cannot request a large allocation.

    Args:
        path: the path of the file.
        name: its path relative to the submission's folder.
        cell: the specification of the network that it belongs to.

    Raises:
        UserError: if it is damaged or not a safetensors file, has invalid names or numbers, or
            belongs to another network.
    """
    where = shown(name)
    shapes = _shapes(path, where)
    if isinstance(cell, ExternalCell):
        _check_library(cell, shapes, where)
    else:
        _check_network(path, cell, shapes, where)


def _shapes(path: Path, where: str) -> Shapes:
    try:
        check_safetensors(path)
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            keys = list(file.keys())
            if len(keys) > limits.TENSORS:
                raise UserError(
                    f"{where} has {len(keys)} tensors; at most {limits.TENSORS} are allowed."
                )
            for text in metadata.values():
                if len(text) > limits.PROSE or depth_of(text.encode()) > DEPTH:
                    raise UserError(f"{where} has a header that robench does not write.")
            shapes = {}
            for key in keys:
                if not key.isascii() or not key.isprintable() or not 0 < len(key) <= 300:
                    raise UserError(
                        f"{where} has a tensor named {shown(key)}, which is not a name."
                    )
                tensor = file.get_tensor(key)
                if not tensor.isfinite().all():
                    raise UserError(f"{where}: {shown(key)} holds values that are not finite.")
                shapes[key] = tuple(tensor.shape)
    except Refused as error:
        raise UserError(f"{where} is not an intact safetensors file ({error.reason}).") from None
    except UserError:
        raise
    except Exception as error:  # the library's own, and those of dtypes without isfinite
        if is_out_of_memory(error):
            raise
        reason = str(error).split("\n", 1)[0][:120]
        raise UserError(f"{where} is not an intact safetensors file ({reason}).") from None
    return shapes


def _check_library(cell: ExternalCell, shapes: Shapes, where: str) -> None:
    if not cell.of_library:
        return  # only its code could tell the shapes
    check_library_options(cell.architecture)
    try:
        with torch.device("meta"):
            model = build_external(cell.architecture)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{shown(cell.architecture)} cannot be built on the meta device "
            f"({type(error).__name__}); submit its code as a .py file."
        ) from None
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    odd = sorted(key for key in wanted.keys() | shapes if wanted.get(key) != shapes.get(key))
    if odd:
        raise UserError(
            f"{where} holds the weights of another network: {shown(odd[0])} is "
            f"{shapes.get(odd[0], 'missing')}, but {wanted.get(odd[0], 'nothing')} is needed."
        )


def _check_network(path: Path, cell: Cell, shapes: Shapes, where: str) -> None:
    """Compare with the plain backbone, since building a defense may need real weights."""
    network, _ = read_network(path)
    header = (network.backbone, network.width, network.stem, network.defense)
    if header != (cell.model.name, cell.model.width, cell.model.stem, cell.defense):
        raise UserError(f"{where}: its {METADATA_KEY} header names another network than its row.")
    sizes = (network.num_classes, network.in_channels, network.width)
    if not all(isinstance(size, int) and 0 < size <= _LARGEST for size in sizes):
        raise UserError(f"{where}: its {METADATA_KEY} header has impossible sizes.")
    stored = sum(torch.Size(shape).numel() for shape in shapes.values())
    if _plain_size(network) > _OF_NETWORK * stored:
        raise UserError(f"{where} holds far fewer weights than {shown(network.backbone)} has.")


def _plain_size(network: Network) -> int:
    try:
        backbones.lookup(network.backbone)
    except UserError:
        return 0  # it came with the submission: only its code could tell
    given = (network.num_classes, network.in_channels, network.width, network.stem)
    with torch.device("meta"):
        model = backbones.build(network.backbone, given=given)
    return sum(parameter.numel() for parameter in model.parameters())
