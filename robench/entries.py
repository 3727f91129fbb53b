"""A registered name: how its thing is built, where it comes from, what it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered name: how to build it and where it comes from."""

    name: str
    build: Callable[..., T]
    summary: str
    reference: str
    file: str


class Library(Protocol[T]):
    """Another library's things, named ``prefix:NAME``."""

    def names(self) -> list[str]:
        """Return the names, without the prefix."""

    def entry(self, name: str) -> Entry[T]:
        """Return an entry by its name without the prefix.

        Raises:
            UserError: where there is none of that name.
        """


def missing_package(entry: Entry[Any]) -> str | None:
    """Return the optional package that an entry needs and that is not installed, or None."""
    package = str(getattr(entry.build, "requires", ""))
    if not package:
        return None
    try:
        distribution(package)
    except PackageNotFoundError:
        return package
    return None
