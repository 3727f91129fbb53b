"""What a module keeps in Python attributes: counters, memories, random generators."""

import collections
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

_MAPPINGS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)
_SEQUENCES = (list, set, collections.deque)

Restore = Callable[[], None]
"""Puts a value back as it was."""

_OF_TORCH = frozenset(vars(nn.Module()))
"""The attributes of every module."""


def plain_attributes(module: nn.Module) -> dict[str, object]:
    """Return what a module keeps beside its parameters, buffers, layers and hooks, by name."""
    return {name: value for name, value in vars(module).items() if name not in _OF_TORCH}


def remember(module: nn.Module) -> Restore:
    """Return what restores the plain attributes of a module as they are now.

    Attributes that were added are removed, and those that were bound anew or removed are put back.
    Lists, dicts, sets, deques, arrays and tensors get their contents back, random generators their
    state; other objects are not looked into.
    """
    if isinstance(module, LazyModuleMixin):
        return lambda: None  # its first forward makes another module of it, for good
    attributes = plain_attributes(module)
    contents = list(_contents(list(attributes.values()), set()))

    def restore() -> None:
        for name in plain_attributes(module).keys() - attributes.keys():
            del vars(module)[name]
        vars(module).update(attributes)
        for put_back in contents:
            put_back()

    return restore


def _contents(value: Any, seen: set[int]) -> Iterator[Restore]:
    """Yield what restores the contents of a value, and of the values in it."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if type(value) in _MAPPINGS:
        yield _refilled(value, dict(value), value.update)
        for inner in value.values():
            yield from _contents(inner, seen)
    elif type(value) in _SEQUENCES:
        fill = value.update if isinstance(value, set) else value.extend
        yield _refilled(value, list(value), fill)
        for inner in list(value):
            yield from _contents(inner, seen)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _contents(inner, seen)
    elif isinstance(value, bytearray):
        yield _refilled(value, bytes(value), value.extend)
    elif isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        yield _tensor(value)
    elif isinstance(value, np.ndarray):
        array = value.copy()
        yield lambda: np.copyto(value, array)
    elif isinstance(value, torch.Generator):
        drawn = value.get_state()
        yield lambda: _set_state(value, drawn)
    elif isinstance(value, random.Random):
        state = value.getstate()
        yield lambda: value.setstate(state)
    elif isinstance(value, np.random.Generator):
        bits = value.bit_generator.state
        yield lambda: setattr(value.bit_generator, "state", bits)


def _refilled(container: Any, contents: Any, fill: Callable[[Any], Any]) -> Restore:
    def restore() -> None:
        container.clear()
        fill(contents)

    return restore


def _tensor(value: Tensor) -> Restore:
    contents = value.detach().clone()

    def restore() -> None:
        with torch.no_grad():
            if value.shape == contents.shape and not value.is_inference():
                value.copy_(contents)

    return restore


def _set_state(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)
