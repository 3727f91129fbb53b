"""Build the networks of published cells with fresh weights: their costs and their tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from robench.board.cells import Cell
from robench.data.facts import DataFacts
from robench.diagnostics.layers import layers_of
from robench.diagnostics.spectra import operators
from robench.errors import UserError
from robench.expressions import parse_expression
from robench.models.checkpoint import Network
from robench.models.complexity import count_multiply_adds, count_parameters
from robench.models.frozen import frozen_stats, under_attack
from robench.models.late_state import accepted_state
from robench.registry import backbones, defenses
from robench.system.out_of_memory import is_of_machine

LARGEST_NETWORK = 64_000_000
"""Parameters of the largest network that an audit builds: strangers say how wide it is, and its
weights may be in memory four times over."""

LARGEST_OPTION = 1_000
"""The largest whole number among the options of a defense or backbone that an audit builds."""

Counted = tuple[int, int]
"""Parameters and multiply-adds."""

Tensors = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Name, type and shape of each tensor of a network's state, in the order of their names."""

Operators = tuple[tuple[str, tuple[str, ...]], ...]
"""The names of convolutional layers, each with the operators that spectra have of it."""

Sources = tuple[tuple[str, str], ...]
"""The code that a cell's entries are defined by, if it does not come with robench."""


def network_for(cell: Cell, facts: DataFacts, classes: int) -> Network:
    """Return the network of a cell on images of a shape, as if they were normalized by 0.5."""
    channels, *size = facts.shape
    return Network(
        backbone=cell.model.name,
        width=cell.model.width,
        stem=cell.model.stem,
        defense=cell.defense,
        num_classes=classes,
        in_channels=channels,
        image_size=(size[0], size[1]),
        mean=(0.5,),
        std=(0.5,),
    )


def counted(network: Network, cell: Cell) -> Counted | None:
    """Return parameters and multiply-adds of a network with fresh weights.

    Returns:
        None if it cannot be built here: an entry is not loaded, it does not take such images, or it
        is larger than an audit builds (:data:`LARGEST_NETWORK`).
    """
    found = _built(network, cell)
    return found.counted if found else None


def tensors_of(network: Network, cell: Cell) -> Tensors | None:
    """Return the tensors that the weights of a network consist of; None as for :func:`counted`."""
    found = _built(network, cell)
    return found.tensors if found else None


def without_late_state(
    state: Mapping[str, torch.Tensor], network: Network
) -> dict[str, torch.Tensor]:
    """Return the state without the tensors that a network has only once it is trained.

    Args:
        state: the tensors of a file.
        network: one of which :func:`tensors_of` knows the tensors.
    """
    with torch.random.fork_rng(devices=[]):
        accepted = accepted_state(network.build(), state)
    return {name: tensor for name, tensor in state.items() if name not in accepted}


def infinite_of(network: Network, cell: Cell) -> frozenset[str] | None:
    """Return the tensors that are not finite in fresh weights, such as masks of -inf.

    Returns:
        None as for :func:`counted`.
    """
    found = _built(network, cell)
    return found.infinite if found else None


def operators_of(network: Network, cell: Cell) -> Operators | None:
    """Return the layers whose spectra are measured; None as for :func:`counted`."""
    if _built(network, cell) is None:
        return None
    return _operators(network, tuple(sorted(cell.sources.items())))


def forms_of(state: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the names, types and shapes of a state dict."""
    forms = ((k, str(v.dtype).removeprefix("torch."), tuple(v.shape)) for k, v in state.items())
    return tuple(sorted(forms))


@dataclass(frozen=True)
class _Built:
    """What is known of a network that was built with fresh weights."""

    counted: Counted
    tensors: Tensors
    infinite: frozenset[str]


def _built(network: Network, cell: Cell) -> _Built | None:
    try:  # not cached: code that is not loaded now may be loaded later
        defenses.lookup(network.defense)
        backbones.lookup(network.backbone)
    except UserError:
        return None
    return _measured(network, tuple(sorted(cell.sources.items())))


@lru_cache(maxsize=4096)
def _measured(network: Network, sources: Sources) -> _Built | None:
    """Build once per network; other ``sources`` under the same names are another network."""
    if not _is_modest(network):
        return None
    try:
        with torch.random.fork_rng(devices=[]):
            model = network.build()
        image = torch.zeros(1, network.in_channels, *network.image_size)
        costs = count_parameters(model), count_multiply_adds(model, image)
        state = model.state_dict()
        infinite = frozenset(name for name, value in state.items() if not value.isfinite().all())
        return _Built(costs, forms_of(state), infinite)
    except Exception as error:  # whatever an entry raises, the other figures are audited
        if is_of_machine(error):
            raise  # with more memory there is an answer, and this one would be kept
        return None


@lru_cache(maxsize=4096)
def _operators(network: Network, sources: Sources) -> Operators | None:
    """Build the network again: only boards with spectra need its layers."""
    try:
        with torch.random.fork_rng(devices=[]):
            model = network.build()
        with frozen_stats(model), under_attack(model):
            found = layers_of(model, (network.in_channels, *network.image_size))
            return tuple((layer.name, operators(layer)) for layer in found)
    except Exception as error:  # as above
        if is_of_machine(error):
            raise
        return None


def infer_facts(cell: Cell, costs: Counted, known: DataFacts | None) -> DataFacts | None:
    """Return the images and the number of classes for which a network has these costs.

    Parameters are linear in the number of classes; multiply-adds tell the size of the images. This
    is for data sets that are not known here, such as somebody's folder of images.

    Args:
        cell: the specification of the network.
        costs: its published costs.
        known: the shape of its images, if the data set tells; else the usual ones are tried.

    Returns:
        None if there is no such combination.
    """
    shapes = [known.shape] if known else [(c, s, s) for c in (3, 1) for s in _SIDES]
    for channels in dict.fromkeys(shape[0] for shape in shapes):
        sizes = [shape for shape in shapes if shape[0] == channels]
        if (classes := _classes(cell, costs[0], sizes)) is None:
            continue
        if found := _of_size(cell, costs, [DataFacts(shape, classes) for shape in sizes]):
            return found
    return None


def _of_size(cell: Cell, costs: Counted, sizes: list[DataFacts]) -> DataFacts | None:
    """Return the size of the images with these costs; larger images take more multiply-adds."""
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        facts = sizes[middle]
        found = counted(network_for(cell, facts, facts.classes or 0), cell)
        if found == costs:
            return facts
        if found is None or found[1] < costs[1]:  # None: too small for the network
            low = middle + 1
        else:
            high = middle
    return None


_SIDES = (8, 16, 28, 32, 64, 96, 128, 224)
"""Usual sizes of square images, in rising order."""


def _classes(cell: Cell, parameters: int, shapes: list[tuple[int, int, int]]) -> int | None:
    """Return the number of classes with which a network has so many parameters."""
    for shape in shapes:
        ten = network_for(cell, DataFacts(shape), 10)
        found = [counted(net, cell) for net in (ten, replace(ten, num_classes=11))]
        if found[0] is None or found[1] is None:
            continue
        each = found[1][0] - found[0][0]
        classes, rest = divmod(parameters - found[0][0], each) if each > 0 else (0, 1)
        return classes + 10 if rest == 0 and 2 <= classes + 10 <= 100_000 else None
    return None


def _is_modest(network: Network) -> bool:
    """Return whether a network can be built without much memory or time."""
    try:
        calls = [parse_expression(text) for text in (network.defense, network.backbone)]
        numbers = [v for call in calls for v in call.options.values() if isinstance(v, int | float)]
        if any(not abs(value) <= LARGEST_OPTION for value in numbers):
            return False
        given = (network.num_classes, network.in_channels, network.width, network.stem)
        with torch.device("meta"):  # shapes only
            plain = backbones.build(network.backbone, given=given)
        return sum(p.numel() for p in plain.parameters()) <= LARGEST_NETWORK
    except MemoryError:
        raise  # with more memory there is an answer, and this one would be kept
    except Exception:  # as above; torch raises several for sizes that no memory holds
        return False
