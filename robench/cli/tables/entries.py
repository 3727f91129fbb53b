"""Tables of registered entries."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from robench.base import Defense
from robench.cli.tables.words import plain
from robench.entries import Entry, missing_package


def defenses_table(entries: Iterable[Entry[Defense]]) -> Table:
    """Return the defenses as a table: name, what it does, its kind and facts, reference."""
    shown = Table(
        title="defenses",
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    shown.add_column("name", no_wrap=True)
    for column in ("what it does", "kind", "facts", "reference"):
        shown.add_column(column)
    for entry in entries:
        kind = plain(str(getattr(entry.build, "kind", "")))
        cells = (plain(entry.summary), kind, "; ".join(facts(entry)), plain(entry.reference))
        shown.add_row(entry.name, *cells)
    return shown


def facts(entry: Entry[Defense]) -> list[str]:
    """Return the properties that a defense declares, in words."""
    declared: Any = entry.build
    if not (isinstance(declared, type) and issubclass(declared, Defense)):
        return []
    supports = asdict(declared.supports)
    missing = " (not installed)" if missing_package(entry) else ""
    return [
        *(["1-Lipschitz layers"] if declared.strict_lipschitz else []),
        *(["state in training"] if declared.stateful_in_training else []),
        *(f"sets {name}={value}" for name, value in declared.recipe.items()),
        *(f"no {name.replace('_', ' ')}" for name, supported in supports.items() if not supported),
        *([f"needs {declared.requires}{missing}"] if declared.requires else []),
    ]


def entries_table(entries: Iterable[Entry[Any]], title: str) -> Table:
    """Return a registry as a table: name, what it does, where it comes from."""
    shown = Table(title=title, title_style="bold", title_justify="left")
    shown.add_column("name", no_wrap=True)
    shown.add_column("what it does")
    shown.add_column("reference")
    for entry in entries:
        shown.add_row(entry.name, plain(entry.summary), plain(entry.reference))
    return shown
