"""The parts of a network that hold all its weights: what lies outside is a mean, a std or less."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from robench.models.normalization import MOST_CHANNELS

Tied = Mapping[str, Sequence[str]]
"""The name of a tensor -> all names of the same tensor, of which most have one."""

_STATISTICS = ("running_mean", "running_var")


def whole_parts(model: nn.Module) -> Iterator[str]:
    """Yield the names of the parts that hold all weights, the network itself first.

    What lies outside such a part keeps its values: constants such as a mean and std, but no
    weights, frozen ones included, and no running statistics; or it is another name of what lies
    within.
    """
    yield ""
    parameters = dict(model.named_parameters())
    trained = {name for name, p in parameters.items() if p.requires_grad} or set(parameters)
    state = model.state_dict()
    learned = {n for n, v in state.items() if n in trained or _is_statistic(n) or not _is_few(v)}
    tied = tied_names(model)
    for part, _ in model.named_modules():
        inside = {name for name in state if name.startswith(f"{part}.")}
        outside = {name for name in state if inside.isdisjoint(tied.get(name, [name]))}
        if part and inside and not outside & learned:
            yield part


def tied_names(model: nn.Module) -> Tied:
    """Return the names in a network's state that are names of the same tensor."""
    groups: dict[object, list[str]] = {}
    for name, value in model.state_dict().items():
        if has_shape(value) and value.layout == torch.strided and value.numel():
            place = value.data_ptr() or name  # what has no values has no place
            same = (value.device, place, value.dtype, value.shape, value.stride())
            groups.setdefault(same, []).append(name)
    return {name: group for group in groups.values() for name in group}


def has_shape(value: Any) -> bool:
    """Return whether a value of a network's state is a tensor of one shape that is known."""
    return isinstance(value, Tensor) and not is_lazy(value) and not value.is_nested


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2] in _STATISTICS


def _is_few(value: Any) -> bool:
    """Return whether a value of a network's state can be a mean or std, or is an extra state."""
    if not isinstance(value, Tensor):
        return True
    if not has_shape(value):
        return False
    return value.numel() <= MOST_CHANNELS and sum(size > 1 for size in value.shape) <= 1
