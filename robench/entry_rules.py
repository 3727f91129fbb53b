"""What an entry must keep to when it is registered, so that no mistake shows only in a run."""

import inspect
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from robench.base import Defense, Kind
from robench.entries import Entry
from robench.errors import UserError, did_you_mean, shortened


def check_name(kind: str, name: object) -> None:
    """Check that an entry can have a name.

    Raises:
        UserError: if it is malformed, or the decorator was given the entry in its place.
    """
    if not isinstance(name, str):
        own = as_name(getattr(name, "__name__", "my name"))
        decorator = f"register_{as_name(kind)}".replace("data_set", "dataset")
        raise UserError(f'a {kind} is registered by its name: write @{decorator}("{own}").')
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(
            f"'{name}' cannot name a {kind}: use lower-case letters, digits and _, starting with a "
            f"letter, e.g. '{as_name(name)}'."
        )


def as_name(text: str) -> str:
    """Turn ``text`` into a valid name of an entry."""
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"my_{name}".rstrip("_")


def check_not_taken(kind: str, taken: Entry[Any], target: Callable[..., Any], file: str) -> None:
    """Check that an entry of the same name is this one, which is executed again.

    Raises:
        UserError: if it is another one.
    """
    if taken.file != file:
        raise UserError(
            f"two {kind}s are named '{taken.name}': one in {taken.file}, one in {file}; rename one "
            f"of them."
        )
    # In a notebook, a class that was renamed takes the place of the former.
    if _qualified(taken.build) != _qualified(target) and Path(file).is_file():
        raise UserError(
            f"two {kind}s in {file} are named '{taken.name}': {_qualified(taken.build)} and "
            f"{_qualified(target)}; rename one of them."
        )


def check_class(target: Callable[..., Any], base: type[Any] | None) -> None:
    """Check that a class is one of its kind, whose options are its fields.

    Args:
        target: a class or function.
        base: what a class must inherit from.

    Raises:
        UserError: if a class does not, or has an ``__init__`` of its own: it would never be called.
    """
    if base is None or not inspect.isclass(target):
        return
    if not issubclass(target, base):
        raise UserError(
            f"{target.__name__} does not inherit from robench.{base.__name__}: write class "
            f"{target.__name__}(robench.{base.__name__})."
        )
    check_fields(target, "which robench does not call")


def check_fields(target: type[Any], why: str) -> None:
    """Check that the options of a class are its fields, by which objects are compared and named.

    Args:
        target: a class.
        why: what is wrong with an ``__init__`` of its own, as part of a sentence.

    Raises:
        UserError: if it has one.
    """
    code = getattr(target.__init__, "__code__", None)
    if code is not None and code.co_filename != _BY_DATACLASSES:
        raise UserError(
            f"{target.__name__} has an __init__ of its own, {why}: write its options as fields "
            f"below @dataclass(frozen=True), and checks of them into __post_init__."
        )


_BY_DATACLASSES = "<string>"
"""The file of an ``__init__`` that a dataclass has made."""


def _qualified(target: Callable[..., Any]) -> str:
    return str(getattr(target, "__qualname__", target))


def check_hooks(build: Callable[..., Any]) -> None:
    """Check that no hook of a defense is misspelled: it would never be called.

    Raises:
        UserError: if a public method of a defense is not a hook, but nearly named as one, or its
            kind is none.
    """
    if not (inspect.isclass(build) and issubclass(build, Defense)):
        return
    is_text = isinstance(build.kind, str)  # it may be an option of that name
    if is_text and build.kind not in get_args(Kind):
        raise UserError(
            f"{build.__name__} has the kind {shortened(repr(build.kind))}; "
            f"{did_you_mean(str(build.kind), get_args(Kind))}"
        )
    known = dir(Defense)
    own = set(dir(build)).difference(known)
    for name in sorted(n for n in own if n[0] != "_" and inspect.isfunction(getattr(build, n))):
        hooks = [hook for hook in known if inspect.isfunction(getattr(Defense, hook))]
        if near := get_close_matches(name, hooks, n=1, cutoff=_NEAR):
            raise UserError(
                f"{build.__name__} has no hook '{name}'; did you mean '{near[0]}'? A method of "
                f"your own that is not called by robench begins with _."
            )


_NEAR = 0.85
"""How similar a name is to a hook if it is likely to be a misspelled one."""
