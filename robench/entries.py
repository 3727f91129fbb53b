"""Registered entries: how they are built, where they come from, which package they need."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, Generic, Protocol, TypeVar

from robench.base import Defense
from robench.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered name: how to build it and where it comes from.

    Attributes:
        name: the name.
        build: what builds it.
        summary: one line.
        reference: where it was published.
        file: the file that registered it.
        source: the hash of its source, as it was at that time.
        tree: the hash of the source of its file alone; see :class:`robench.origins.Origin`.
    """

    name: str
    build: Callable[..., T]
    summary: str
    reference: str
    file: str
    source: str = ""
    tree: str = ""


class Library(Protocol[T]):
    """Another library, whose entries are named ``prefix:NAME``."""

    def names(self) -> list[str]:
        """Return the names, without the prefix."""

    def entry(self, name: str) -> Entry[T]:
        """Return an entry by its name without the prefix.

        Raises:
            UserError: if the library has no entry of that name.
        """


def missing_package(entry: Entry[Any]) -> str | None:
    """Return the package that an entry needs if it is not installed, else None."""
    package = str(getattr(entry.build, "requires", ""))
    if not package:
        return None
    try:
        distribution(package)
    except PackageNotFoundError:
        return package
    return None


def as_name(text: str) -> str:
    """Turn ``text`` into a valid name of an entry."""
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"my_{name}".rstrip("_")


def summary_of(build: Callable[..., Any]) -> str:
    """Return the first line of a docstring; "" if its author wrote none."""
    text = inspect.getdoc(build) or ""
    # What the dataclass decorator puts in the place of a missing one is a signature.
    if is_dataclass(build) and text.startswith(f"{build.__name__}("):
        return ""
    return text.partition("\n")[0]


def check_hooks(build: Callable[..., Any]) -> None:
    """Check that no hook of a defense is misspelled: it would never be called.

    Raises:
        UserError: if a public method of a defense is not a hook, but nearly named as one.
    """
    if not (inspect.isclass(build) and issubclass(build, Defense)):
        return
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
