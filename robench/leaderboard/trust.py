"""Execute the code that came with a board, if its reader trusts it; check it without, if not."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robench.board.cells import Cell
from robench.board.sources import quoted
from robench.errors import UserError
from robench.leaderboard.bundle import names_of
from robench.leaderboard.evidence import SOURCES, SourceEntry, broken_sums, read_sums
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.plugin_modules import forget_plugin, plugin_tree
from robench.plugins import load_plugin, registrations_undone
from robench.registry import REGISTRIES
from robench.shipped import is_shipped
from robench.sources import source_hash

AnyBoard = Leaderboard | GanLeaderboard


@contextmanager
def trusted_code(board: AnyBoard, *, trust: bool) -> Iterator[str]:
    """Load the entries in the board's ``sources/``, and take them out again afterwards.

    Entries that are registered here already, from a plugin or a package of the user's own, are
    used instead, if their code is the same.

    Args:
        board: the board as read.
        trust: whether the code may be executed. Nothing is executed without it.

    Yields:
        A sentence about code that was not executed or raises; empty if there is none.

    Raises:
        UserError: if the code is not what was published, or does not register what it should; or
            if an entry is registered here with other code.
    """
    missing = unknown_sources(board)
    if not missing:
        yield ""
        return
    if not trust:
        yield untrusted(board, missing)
        return
    if problems := [*source_problems(board), *_changed(board)]:
        raise UserError(f"{board.folder}: {problems[0]} Nothing was executed.")
    files = [board.folder / SOURCES / file for file in dict.fromkeys(e.file for e in missing)]
    with registrations_undone():
        try:
            broken = {str(file): reason for file in files if (reason := _load(file))}
            absent = [entry for entry in missing if not _is_known(entry)]
            for entry in absent:
                if str(file := board.folder / SOURCES / entry.file) not in broken:
                    raise UserError(
                        f"{file} does not register the {entry.words}; publish the board again."
                    )
            yield _unloaded(board, absent, [*broken.values()]) if absent else ""
        finally:
            for file in files:
                forget_plugin(file.resolve())


def _load(file: Path) -> str:
    """Load code; return why it cannot be loaded, such as a file of its author's that it reads."""
    try:
        load_plugin(file)
    except UserError as error:
        return str(error)
    return ""


def _unloaded(board: AnyBoard, entries: list[SourceEntry], reasons: list[str]) -> str:
    named = ", ".join(entry.words for entry in entries)
    return (
        f"{board.name}: the code of the {named} does not load, so what depends on it was not "
        f"checked: {reasons[0]}"
    )


def unknown_sources(board: AnyBoard) -> list[SourceEntry]:
    """Return the entries whose code is in the folder of a board and that are unknown here."""
    return [entry for entry in board.sources if not _is_known(entry)]


def unknown_to(cell: PublishedCell, board: Leaderboard) -> list[SourceEntry]:
    """Return the entries that a cell's network needs, and that are not registered here."""
    spec = cell.file.cell
    named = set(names_of(spec)) if isinstance(spec, Cell) else set()
    return [entry for entry in board.sources if entry.entry in named and not _is_known(entry)]


def unknown_to_all(board: Leaderboard) -> list[SourceEntry]:
    """Return the attacks and data sets of a board that are not registered here."""
    return [e for e in board.sources if e.entry.startswith(("attack ", "data set "))
            and not _is_known(e)]  # fmt: skip


def untrusted(board: AnyBoard, entries: list[SourceEntry], *, trust: bool = False) -> str:
    """Return the sentence that says that code was not executed, and how it can be.

    Args:
        board: the board.
        entries: what is not registered here.
        trust: whether the code was to be executed, which then does not load.
    """
    named = ", ".join(entry.words for entry in entries)
    if trust:
        return f"{board.name}: the code of the {named} does not load, so it was not checked."
    folders = dict.fromkeys(entry.file.partition("/")[0] for entry in entries)
    files = ", ".join(f"{SOURCES}/{folder}" for folder in folders)
    return (
        f"{board.name}: the code of the {named} was not run, so what depends on it was not "
        f"checked; read {files}, then run it with --trust-code."
    )


def source_problems(board: AnyBoard) -> list[str]:
    """Return what is wrong with the code in a board's folder, one sentence each; none of it is run.

    Every file must belong to an entry, no entry may take a name of robench's own, and the code
    must be that which the specifications of the cells name by its hash.

    Raises:
        UserError: if a file cannot be read.
    """
    times = Counter(entry.entry for entry in board.sources)
    found = [f"board.json lists the code of the {quoted(name)} {count} times."
             for name, count in times.items() if count > 1]  # fmt: skip
    listed = {name for name in read_sums(board.folder) if name.startswith(f"{SOURCES}/")}
    needed: set[str] = set()
    hashes: dict[str, str] = {}
    for entry in board.sources:
        name = f"{SOURCES}/{entry.file}"
        if name not in listed:
            found.append(f"{name}, which defines the {entry.words}, is missing.")
            continue
        if is_shipped(*entry.entry.rsplit(" ", 1)):
            found.append(f"{name} defines the {entry.words}, a name of robench's own.")
        hashes[entry.entry] = source_hash(board.folder / name)
        root = board.folder.resolve()
        _, files = plugin_tree(board.folder / name)
        needed |= {path.relative_to(root).as_posix() for path in files if path.is_relative_to(root)}
    found += [f"{name} belongs to no entry." for name in sorted(listed - needed)]
    found += [f"{name} is not in SHA256SUMS." for name in sorted(needed - listed)]
    found += [
        f"the code of the {quoted(name)} in {SOURCES}/ is not that which '{row}', seed {seed}, "
        f"was made with."
        for row, seed, name, digest in _made_with(board)
        if hashes.get(name, digest) != digest
    ]
    return found


def _made_with(board: AnyBoard) -> Iterator[tuple[str, int, str, str]]:
    """Yield row, seed, entry and hash of all code that a board was made with."""
    if isinstance(board, GanLeaderboard):
        for one in board.evidence:
            for name, digest in one.file.cell.sources.items():
                yield one.file.row, one.seed, name, digest
        return
    for cell in board.cells:
        for name, digest in _identities(cell):
            yield cell.row, cell.seed, name, digest


def _identities(cell: PublishedCell) -> Iterator[tuple[str, str]]:
    """Yield the entries that a cell's figures depend on, with the hashes of their code."""
    if isinstance(cell.file.cell, Cell):
        yield from cell.file.cell.sources.items()
    for outcome in cell.file.manifest.outcomes.values() if cell.file.manifest else ():
        if outcome.source is not None:
            name = re.match(r"\w*", outcome.column)
            yield f"attack {name[0] if name else ''}", outcome.source


def _changed(board: AnyBoard) -> list[str]:
    """Return the files below ``sources/`` that are not as listed, since all of them may run."""
    sums = read_sums(board.folder)
    listed = {name: digest for name, digest in sums.items() if name.startswith(f"{SOURCES}/")}
    there = {
        path.relative_to(board.folder).as_posix()
        for path in (board.folder / SOURCES).rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    odd = [*broken_sums(board.folder, listed), *sorted(there - listed.keys())]
    return [f"{name} is not as {board.name} was published (checksum differs)." for name in odd]


def _is_known(entry: SourceEntry) -> bool:
    kind, _, name = entry.entry.rpartition(" ")
    return any(registry.kind == kind and registry.knows(name) for registry in REGISTRIES)
