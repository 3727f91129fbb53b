"""Tensors of a state dict that a layer makes only while it is trained, and lacks when it is built.

A layer with such buffers has a method ``accepts_state(name, shape)``, which says whether it would
take one of its own that it does not have yet. It must bound the shape: files are by strangers.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

Shape = tuple[int, ...]


@runtime_checkable
class AcceptsState(Protocol):
    """A layer that takes buffers from a state dict which it does not have yet."""

    def accepts_state(self, name: str, shape: Shape) -> bool:
        """Return whether the layer takes a buffer ``name`` of this shape."""


def accepted_state(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Shape]:
    """Return the shapes of the tensors in ``state`` that ``model`` lacks but takes.

    Args:
        model: the network, whose layers load what they accept.
        state: a state dict, perhaps of a stranger.
    """
    layers = {name: m for name, m in model.named_modules() if isinstance(m, AcceptsState)}
    if not layers:
        return {}
    own, accepted = model.state_dict().keys(), {}
    for name, value in state.items():
        place, _, leaf = name.rpartition(".")
        if name in own or place not in layers or not isinstance(value, Tensor):
            continue
        if layers[place].accepts_state(leaf, tuple(value.shape)):
            accepted[name] = tuple(value.shape)
    return accepted
