"""What a network keeps outside of its modules: globals and closures that its code refers to."""

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from robench.models.plain_state import Restore, contents_of

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "robench", "builtins", "lightning_fabric")
"""Packages whose code keeps no state of a network."""

_CODE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, nn.Module)
"""What a name in code mostly stands for: no state, or one that is looked for elsewhere."""

_MOST = 500
"""Functions that are followed at most."""


@dataclass(frozen=True)
class _Place:
    """A variable: what it is called, and how to read and bind it."""

    name: str
    read: Callable[[], Any]
    bind: Callable[[Any], None]


def outside_values(model: nn.Module) -> dict[str, Any]:
    """Return the globals and closed-over variables that a model's code refers to, by name.

    Functions, classes, modules and networks are left out, and so is the code of torch and of
    other libraries.
    """
    return {place.name: place.read() for place in _places(model)}


@contextmanager
def outside_restored(model: nn.Module) -> Iterator[None]:
    """Restore :func:`outside_values` on exit, with the contents of lists, dicts, tensors etc."""
    before = [(place, place.read()) for place in _places(model)]
    contents: list[Restore] = [put for _, value in before for put in contents_of(value)]
    try:
        yield
    finally:
        for place, value in before:
            place.bind(value)
        for put_back in contents:
            put_back()


def _places(model: nn.Module) -> Iterator[_Place]:
    seen: set[tuple[str, int]] = set()
    for function in _functions(model):
        for place, key in _variables(function):
            if key not in seen and not isinstance(place.read(), _CODE):
                seen.add(key)
                yield place


def _variables(function: types.FunctionType) -> Iterator[tuple[_Place, tuple[str, int]]]:
    """Yield the variables outside of a function, each with what identifies it."""
    known = function.__globals__
    for name in _names(function.__code__) & known.keys():
        read, bind = partial(known.__getitem__, name), partial(known.__setitem__, name)
        yield _Place(name, read, bind), (name, id(known))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if cell != types.CellType():  # an empty one has no contents
            read, bind = partial(getattr, cell, "cell_contents"), partial(_bind_cell, cell)
            yield _Place(name, read, bind), (name, id(cell))


def _bind_cell(cell: types.CellType, value: Any) -> None:
    cell.cell_contents = value


def _names(code: types.CodeType) -> set[str]:
    """Return the names that code refers to, with that of the functions within it."""
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _functions(model: nn.Module) -> Iterator[types.FunctionType]:
    """Yield the functions of a model's classes and attributes, and those that they refer to."""
    left: list[Any] = []
    for kind in {type(module) for module in model.modules()}:
        for each in kind.__mro__:
            left += [] if _of_library(each.__module__) else vars(each).values()
    left += [value for module in model.modules() for value in vars(module).values()]
    seen: set[int] = set()
    while left and len(seen) < _MOST:
        function = _plain(left.pop())
        if function is None or id(function) in seen or _of_library(function.__module__):
            continue
        seen.add(id(function))
        yield function
        left += [place.read() for place, _ in _variables(function)]


def _plain(value: Any) -> types.FunctionType | None:
    """Return the function behind a method, a property or a partial."""
    if isinstance(value, property):
        value = value.fget
    while isinstance(value, (partial, types.MethodType, staticmethod, classmethod)):
        value = value.func if isinstance(value, partial) else value.__func__
    return value if isinstance(value, types.FunctionType) else None


def _of_library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _LIBRARIES
