"""Registered entries: how they are built, where they come from, which package they need."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered name: how to build it and where it comes from.

    Attributes:
        name: the name.
        build: what builds it.
        summary: one line.
        reference: where it was published.
        file: the file that defines it.
        source: the hash of the source that registered it, as it was at that time.
    """

    name: str
    build: Callable[..., T]
    summary: str
    reference: str
    file: str
    source: str = ""


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


def file_of(target: Any) -> str:
    """Return the file that defines a class or function, or ``<module>`` in a notebook."""
    module = sys.modules.get(target.__module__)
    file = getattr(module, "__file__", None)
    return str(Path(str(file)).resolve()) if file else f"<{target.__module__}>"


def as_name(text: str) -> str:
    """Turn ``text`` into a valid name of an entry."""
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"my_{name}".rstrip("_")
