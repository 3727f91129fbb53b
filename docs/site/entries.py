"""The registered entries and what they declare: what ``robench list`` and ``info`` print."""

from pathlib import Path
from typing import Any

from docs.site.markdown import code, one_line, plain, table
from docs.site.pages import ROOT
from robench import registry as registries
from robench.board.loading import read_board
from robench.board.shipped import shipped_boards
from robench.cli.tables.entries import facts
from robench.commands.info import Info, describe
from robench.entries import Entry


def entry_pages(room: str) -> str:
    """Return a section for each entry of a registry, such as ``defenses``."""
    registry = getattr(registries, room)
    registry.discover()
    sections = [_section(_info(registry.kind, name), registry.get(name)) for name in registry]
    foreign = registry.library_names()
    if foreign:
        sections.append(_of_libraries(foreign))
    return "\n".join(sections)


def board_list() -> str:
    """Return the boards that come with robench, as a table."""
    boards = {name: read_board(path).title for name, path in shipped_boards().items()}
    return table(("board", "title"), [(code(name), plain(t)) for name, t in boards.items()])


def _info(kind: str, name: str) -> Info:
    return next(each for each in describe(name) if each.kind == kind)


def _section(info: Info, entry: Entry[Any]) -> str:
    parts = [f"## `{info.name}`", plain(info.summary)]
    declared = [str(getattr(entry.build, "kind", "")), *facts(entry)]
    known = [each.replace(" (not installed)", "") for each in declared if each]
    if known:
        parts.append(f"Declares: {plain('; '.join(known))}.")
    if info.description:
        parts.append(_escaped(info.description))
    if info.options:
        rows = [
            (code(o.name), code(o.default), plain(one_line(o.meaning)) or code(o.type))
            for o in info.options
        ]
        parts.append(table(("option", "default", "meaning"), rows))
    parts.append(" · ".join(_origin(info)))
    return "\n\n".join(parts) + "\n"


def _origin(info: Info) -> list[str]:
    file = Path(info.file).relative_to(ROOT).as_posix()
    source = f"Source: [`{file}`](../../{file})"
    return [f"Reference: {plain(info.reference)}", source] if info.reference else [source]


def _escaped(description: str) -> str:
    """Return a description; lines that are indented are formulas, and stay as they are."""
    return "\n".join(
        line if line.startswith("    ") else plain(line) for line in description.splitlines()
    )


def _of_libraries(names: list[str]) -> str:
    """Return the names of other libraries' attacks, library by library."""
    prefixes = sorted({name.partition(":")[0] for name in names})
    parts = []
    for prefix in prefixes:
        own = [code(name) for name in names if name.startswith(f"{prefix}:")]
        parts.append(f"## Attacks of {prefix}\n\n{len(own)} attacks, with the library's own "
                     f"options: {', '.join(own)}.\n")  # fmt: skip
    return "\n".join(parts)
