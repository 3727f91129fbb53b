"""Checkpoints: weights and the description of their network in one safetensors file."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import nn
from torch.nn.parameter import is_lazy

from robench.board.cells import Cell
from robench.board.sources import entries_of, other_sources, quoted
from robench.data import DataSet
from robench.errors import RobenchWarning, UserError, shortened
from robench.models.build import build_model
from robench.models.late_state import accepted_state
from robench.models.state_versions import versions_of, with_versions
from robench.models.value_types import wrong_type
from robench.models.weight_files import read_safetensors
from robench.registry import backbones
from robench.system.files import write_bytes
from robench.system.json_files import parse_json
from robench.system.reading import MIB, Refused
from robench.system.tensor_files import read_metadata
from robench.wrong_values import what_to_write

METADATA_KEY = "robench"


Size = Annotated[int, Field(gt=0, le=100_000)]
"""A number of classes, channels or pixels."""

_LARGEST_RATIO = 4
"""Largest ratio of a network's size to that of its file; defenses never share more weights."""

_SMALL = 64 * MIB
"""Size of a network that may be built to say how it differs from its file."""


@dataclass(frozen=True)
class Network:
    """The description from which a trained network is rebuilt: everything except its weights."""

    backbone: str
    width: Size
    stem: str
    defense: str
    num_classes: Size
    in_channels: Size
    image_size: tuple[Size, Size]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, cell: Cell, dataset: DataSet) -> "Network":
        """Return the network that ``cell`` trains on ``dataset``."""
        return cls(
            backbone=cell.model.name,
            width=cell.model.width,
            stem=cell.model.stem,
            defense=cell.defense,
            num_classes=dataset.num_classes,
            in_channels=dataset.in_channels,
            image_size=dataset.image_size,
            mean=dataset.mean,
            std=dataset.std,
        )

    def build(self) -> nn.Module:
        """Return the network with fresh weights, drawn from torch's global random generator."""
        return build_model(
            self.backbone,
            width=self.width,
            stem=self.stem,
            defense=self.defense,
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            image_size=self.image_size,
            mean=self.mean,
            std=self.std,
        )


_NETWORK = TypeAdapter(Network)


def save_weights(path: Path, model: nn.Module, network: Network, **facts: Any) -> None:
    """Write the state dict of ``model`` with ``network`` and ``facts`` (JSON) as metadata."""
    # Cloned because safetensors refuses tensors that share memory, such as tied weights.
    state = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    metadata = {METADATA_KEY: json.dumps({**asdict(network), **facts}, sort_keys=True)}
    write_bytes(path, safetensors.torch.save(state, metadata))


_OWN = "; name your own network with --model, and this file with --checkpoint"


def read_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """Read the network description of a checkpoint and the facts stored with it.

    Raises:
        UserError: if the file is missing, truncated or not written by robench.
    """
    if not path.is_file():
        own = f"; a network of your own is named by --model {path}" if ":" in path.name else ""
        raise UserError(f"no checkpoint found at {path}{own}.")
    try:
        metadata = read_metadata(path)
    except Refused as error:
        if path.suffix != ".safetensors":
            raise UserError(f"{path} is not a file of robench's{_OWN}.") from error
        raise UserError(
            f"{path} is not a complete safetensors file ({error.reason}); copy or create it again."
        ) from error
    if METADATA_KEY not in metadata:
        raise UserError(
            f"{path} does not say which network its weights belong to: robench did not write it"
            f"{_OWN}."
        )
    try:
        return _network_of(parse_json(metadata[METADATA_KEY].encode()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        reason = f"'{shortened(key)}': {what_to_write(first)}"
        raise UserError(f"the description in {path} is damaged: {reason}") from error
    except ValueError as error:
        raise UserError(f"the description in {path} is damaged: {error}.") from error


def _network_of(values: Any) -> tuple[Network, dict[str, Any]]:
    """Return the network that JSON describes, and what else is in it."""
    if not isinstance(values, dict):
        raise ValueError("it is not a table of values")
    names = [f.name for f in fields(Network)]
    if missing := [name for name in names if name not in values]:
        raise ValueError(f"'{missing[0]}' is missing")
    known = {name: values.pop(name) for name in names}
    return _NETWORK.validate_json(json.dumps(known), strict=True), values


def load_weights(path: Path, model: nn.Module) -> nn.Module:
    """Load a safetensors file into ``model``, every tensor of it.

    Its modules take the values as their own: robench wrote the file from a model of the same code.

    Raises:
        UserError: if the file is damaged, of another architecture, or holds integers or complex
            numbers where the network has floating point; the message names a tensor.
    """
    state = read_safetensors(path)
    own = model.state_dict()
    expected = {k: None if is_lazy(v) else tuple(v.shape) for k, v in own.items()}
    if wrong := first_difference(expected | accepted_state(model, state), state):
        raise UserError(f"{path} holds the weights of another architecture: {wrong}.")
    if wrong := wrong_type(own, state):
        raise UserError(f"{path} cannot be loaded: {wrong}; copy or create it again.")
    try:
        model.load_state_dict(with_versions(state, versions_of(own)))
    except Exception as error:  # values of a type that the network cannot take
        reason = shortened(str(error).strip().split("\n")[-1].strip(), 200)
        raise UserError(f"{path} cannot be loaded ({type(error).__name__}: {reason}).") from error
    return model


def load_checkpoint(path: Path) -> tuple[nn.Module, Network, dict[str, Any]]:
    """Rebuild a network that robench trained, in eval mode on the CPU.

    A warning says if the source of its defense or backbone has changed since it was trained: its
    weights are of the code before.

    Args:
        path: a ``weights.safetensors`` file, or the folder that contains it.

    Raises:
        UserError: see :func:`read_network` and :func:`load_weights`.
    """
    path = path / "weights.safetensors" if path.is_dir() else path
    network, facts = read_network(path)
    model = _built(path, network, facts)
    entries = entries_of(network.defense, "", network.backbone, "")
    recorded = facts.get("sources")
    known = recorded if isinstance(recorded, dict) else {}
    for key in other_sources(known, entries, complete=False):
        warnings.warn(
            f"the source of the {quoted(key)} is not the one that {path} was trained with; train "
            f"it again, or load the code that it was trained with.",
            RobenchWarning,
            stacklevel=2,
        )
    return load_weights(path, model).eval(), network, facts


def _built(path: Path, network: Network, facts: Mapping[str, Any]) -> nn.Module:
    """Return the network of a checkpoint, with fresh weights."""
    if _plain_size(network) > max(_LARGEST_RATIO * path.stat().st_size, _SMALL):
        raise UserError(
            f"the description in {path} is damaged: it names a network that is far larger than the "
            f"file."
        )
    try:
        with torch.random.fork_rng(devices=[]):
            return network.build()
    except UserError as error:
        if "sources" not in facts:
            raise
        raise UserError(
            f"{path} was trained with code that does not come with robench; load it with --plugin "
            f"({error})"
        ) from None
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"the description in {path} is damaged: it names a network that cannot be built "
            f"({type(error).__name__}: {shortened(error, 200)})."
        ) from error


def _plain_size(network: Network) -> int:
    """Return the size in bytes of the network without its defense; 0 if it is not known."""
    given = (network.num_classes, network.in_channels, network.width, network.stem)
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            model = backbones.build(network.backbone, given=given)
        return sum(p.numel() * p.element_size() for p in model.parameters())
    except Exception:  # building it again says what is wrong
        return 0


def first_difference(
    expected: Mapping[str, tuple[int, ...] | None], state: dict[str, torch.Tensor]
) -> str | None:
    """Return the first mismatch between a state dict and the shapes ``expected``, or None.

    A lazy layer expects no shape (None): it gets that of the state dict.
    """
    for name, shape in expected.items():
        if name not in state:
            return f"'{name}' is missing"
        if shape is not None and tuple(state[name].shape) != shape:
            return f"'{name}' has shape {tuple(state[name].shape)} where {shape} is needed"
    extra = sorted(set(state) - set(expected))
    return f"'{extra[0]}' is not part of it" if extra else None
