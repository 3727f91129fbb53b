"""Registered entries: how they are built, where they come from, which package they need."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, is_dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from robench.errors import LONGEST, bare, did_you_mean
from robench.system.files import is_file

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


def summary_of(build: Callable[..., Any]) -> str:
    """Return the first line of a docstring; "" if its author wrote none."""
    text = inspect.getdoc(build) or ""
    # What the dataclass decorator puts in the place of a missing one is a signature.
    if is_dataclass(build) and text.startswith(f"{build.__name__}("):
        return ""
    return text.partition("\n")[0]


def instead_of(
    name: str, options: Mapping[str, Collection[str]], source: str, loaded: Collection[str]
) -> str:
    """Return what to write for a name that no entry has.

    It is the plugin that is named like it, if there is one; otherwise the nearest entries, such as
    the 20 steps of ``pgd-20`` for ``PGD20``.

    Args:
        name: the name.
        options: each entry's name -> the names of its options.
        source: the package of the entries of its kind, ``robench.defenses``: a user's own are often
            in a folder of its name, where ``robench new`` writes them.
        loaded: the files of the plugins that were given.
    """
    for file in (Path(f"{name}.py"), Path(source.rpartition(".")[2], f"{name}.py")):
        if name.isidentifier() and is_file(file) and str(file.resolve()) not in loaded:
            return f"to use that of {file}, give --plugin {file}."
    letters = name[:LONGEST].rstrip("0123456789")
    known, steps = letters.rstrip("-_").lower(), name[len(letters) :]
    if steps and "steps" in options.get(known, ()):
        return f"did you mean '{known}-{steps}'?"
    spelled_otherwise = bare(name) in map(bare, options)
    return did_you_mean(name if spelled_otherwise else re.sub(r"-\d+$", "", name), options)
