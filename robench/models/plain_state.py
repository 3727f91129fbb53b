"""What a module keeps in Python attributes: counters, memories, random generators."""

import collections
import copy
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
    contents = contents_of(list(attributes.values()))

    def restore() -> None:
        for name in plain_attributes(module).keys() - attributes.keys():
            del vars(module)[name]
        vars(module).update(attributes)
        for put_back in contents:
            put_back()

    return restore


def contents_of(value: Any) -> list[Restore]:
    """Return what restores the contents of a value, and of the values in it."""
    found = [_contents(each) for each in _within(value, set())]
    return [put_back for put_back in found if put_back is not None]


def independent_copy(model: nn.Module) -> nn.Module:
    """Return a deep copy, also of a model that keeps computed tensors in plain attributes.

    ``torch.nn.utils.weight_norm`` keeps such a weight after a forward with gradient, and hooks keep
    features: their copies are cut off from what they were computed from.

    Raises:
        Exception: whatever an attribute raises that cannot be copied.
    """
    with torch.no_grad():  # a scripted module copies its parameters by operations
        return copy.deepcopy(model, copies_of_computed(model))


def copies_of_computed(model: nn.Module) -> dict[int, object]:
    """Return copies, by id, of tensors that modules have computed: torch cannot copy them itself.

    They are the ``memo`` of :func:`copy.deepcopy`.
    """
    plain = [list(plain_attributes(module).values()) for module in model.modules()]
    computed = [v for v in _within(plain, set()) if isinstance(v, Tensor) and not v.is_leaf]
    return {id(value): value.detach().clone() for value in computed}


def _within(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield a value and the values in it, each once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    yield value
    if type(value) in _MAPPINGS:
        inside = list(value.values())
    elif type(value) in _SEQUENCES or isinstance(value, tuple):
        inside = list(value)
    else:
        return
    for inner in inside:
        yield from _within(inner, seen)


def _contents(value: Any) -> Restore | None:
    """Return what restores the contents of a value itself; None if it has none."""
    if type(value) in _MAPPINGS:
        return _refilled(value, dict(value), value.update)
    if type(value) in _SEQUENCES:
        fill = value.update if isinstance(value, set) else value.extend
        return _refilled(value, list(value), fill)
    if isinstance(value, bytearray):
        return _refilled(value, bytes(value), value.extend)
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        return _tensor(value)
    if isinstance(value, np.ndarray) and value.flags.writeable:
        array = value.copy()
        return lambda: np.copyto(value, array)
    if isinstance(value, torch.Generator):
        drawn = value.get_state()
        return lambda: _set_state(value, drawn)
    if isinstance(value, random.Random):
        state = value.getstate()
        return lambda: value.setstate(state)
    if isinstance(value, np.random.RandomState):
        legacy = value.get_state()
        return lambda: value.set_state(legacy)
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator.state
        return lambda: setattr(value.bit_generator, "state", bits)
    return None


def _refilled(container: Any, contents: Any, fill: Callable[[Any], Any]) -> Restore:
    def restore() -> None:
        container.clear()
        fill(contents)

    return restore


def _tensor(value: Tensor) -> Restore | None:
    if value.is_nested or value.is_inference():
        return None
    contents = value.detach().clone()

    def restore() -> None:
        # A write counts as a change: it would spoil a graph that needs the value for its backward
        # pass, and an expanded tensor cannot be written to.
        with torch.no_grad():
            if value.shape == contents.shape and not _same(value, contents):
                value.copy_(contents)

    return restore


def _same(one: Tensor, other: Tensor) -> bool:
    try:
        return torch.equal(one, other)
    except (RuntimeError, NotImplementedError):  # sparse tensors, and those without values
        return False


def _set_state(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)
