"""Tables of registered entries."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from robench.base import Defense
from robench.cli.tables.fitted import Listing
from robench.cli.tables.words import plain
from robench.commands.info import Info
from robench.entries import Entry, missing_package


def defenses_table(entries: Iterable[Entry[Defense]]) -> Listing:
    """Return the defenses as a table: name, what it does, its kind and facts, reference."""
    rows = []
    for entry in entries:
        kind = plain(str(getattr(entry.build, "kind", "")))
        known = plain("; ".join(facts(entry)))
        rows.append([entry.name, plain(entry.summary), kind, known, plain(entry.reference)])
    return Listing("defenses", ("name", "what it does", "kind", "facts", "reference"), rows)


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


def entries_table(entries: Iterable[Entry[Any]], title: str) -> Listing:
    """Return a registry as a table: name, what it does, where it comes from."""
    rows = [[entry.name, plain(entry.summary), plain(entry.reference)] for entry in entries]
    return Listing(title, ("name", "what it does", "reference"), rows)


def entry_json(entry: Entry[Any]) -> dict[str, Any]:
    """Return what a table says of an entry, with the kind and facts of a defense."""
    known = {"name": entry.name, "summary": entry.summary, "reference": entry.reference}
    declared: Any = entry.build
    if not (isinstance(declared, type) and issubclass(declared, Defense)):
        return known  # an option of another entry may be called kind, too
    return known | {"kind": declared.kind, "facts": facts(entry)}


def info_parts(info: Info) -> Iterator[RenderableType]:
    """Yield what is known about an entry: its name, what it says of itself, options and source."""
    yield Text(f"{info.name} ({info.kind}): {info.summary}", style="bold")
    if info.missing:
        yield Text(f"needs {info.missing}, which is not installed: pip install '{info.missing}'")
    if info.description:
        yield Text(f"\n{info.description}")
    if info.options:
        rows = [
            [o.name, plain(o.default or "-"), plain(o.meaning or o.type or "see its library")]
            for o in info.options
        ]
        yield ""
        yield Listing("options", ("option", "default", "what it is"), rows)
    if info.reference:
        yield Text(f"reference: {info.reference}")
    if info.file:
        yield Text(f"source: {info.file}\n")
