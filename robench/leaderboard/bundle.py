"""The code of the entries of a board that do not come with robench, as its folder holds it.

Below ``sources/``, each user's file is in a folder with what it imports from beside it, so that
neighbors of the same name do not mix.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robench.board.board import Board
from robench.board.cells import Cell
from robench.board.plan import resolve_rows
from robench.checks.order import added_checks
from robench.data.load import entry_of
from robench.errors import UserError
from robench.expressions import parse_expression
from robench.gan.board import GanBoard
from robench.leaderboard.evidence import SOURCES, SourceEntry, read_sums
from robench.leaderboard.published import Leaderboard
from robench.plugin_modules import plugin_tree
from robench.registry import (
    Registry,
    attacks,
    backbones,
    checks,
    datasets,
    defenses,
    training_methods,
)
from robench.shipped import is_edited, is_shipped
from robench.system.reading import CODE_BYTES, read_bytes

OF_ROWS = ("defense", "training method", "backbone")
"""The kinds of entries that belong to rows; the others belong to the whole board."""


@dataclass(frozen=True)
class Bundle:
    """The code of entries, read once: it is published as it was when the run began.

    Attributes:
        entries: the entries, and the file of each.
        files: path relative to ``sources/`` -> content.
    """

    entries: tuple[SourceEntry, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


def bundle_of(board: Board) -> Bundle:
    """Return the code of a board's entries that do not come with robench.

    Entries that are not defined in a file, such as those of a notebook, are left out.

    Raises:
        UserError: if an entry is not registered, or a file cannot be read.
    """
    return bundle_of_entries(_named(board))


def bundle_of_gans(board: GanBoard) -> Bundle:
    """Return the code of the entries of a board of GANs; see :func:`bundle_of`."""
    rows: list[tuple[Registry[Any], str]] = [(defenses, row.defense) for row in board.rows]
    own = [(datasets, board.data.name)] if entry_of(board.data.name) in datasets else []
    return bundle_of_entries([*rows, *own])


def bundle_of_entries(named: Iterable[tuple[Registry[Any], str]]) -> Bundle:
    """Return the code of entries that do not come with robench.

    Args:
        named: the registry of each, and how a board names it.

    Raises:
        UserError: if an entry is not registered, or a file cannot be read.
    """
    found: dict[str, Path] = {}
    for registry, expression in named:
        entry, _ = registry.lookup(expression)
        name = entry.name.partition(":")[0]
        if not is_shipped(registry.kind, name) and Path(entry.file).is_file():
            found[f"{registry.kind} {name}"] = Path(entry.file)
    return _bundled(found)


def published_bundle(board: Leaderboard, cells: Sequence[Cell] | None = None) -> Bundle:
    """Return the code in the folder of a published board.

    Args:
        board: the board as read.
        cells: the trained cells whose entries are needed; all by default.

    Raises:
        UserError: if a file is missing.
    """
    named = None if cells is None else {name for cell in cells for name in names_of(cell)}
    entries = tuple(
        entry
        for entry in board.sources
        if named is None or _kind(entry) not in OF_ROWS or entry.entry in named
    )
    kept = {entry.file.partition("/")[0] for entry in entries}
    files: dict[str, bytes] = {}
    for name in read_sums(board.folder) if entries else ():
        first, _, rest = name.partition("/")
        if first == SOURCES and rest.partition("/")[0] in kept:
            files[rest] = _content(board.folder / name)
    return Bundle(entries, files)


def completed(bundle: Bundle, board: Board, cells: Sequence[Cell]) -> Bundle:
    """Return a bundle with the code of what else cells and a board name, from what is loaded here.

    Args:
        bundle: the code that is known already.
        board: the board, whose attacks and data set are looked up.
        cells: its trained cells.

    Raises:
        UserError: if the code of an entry is not known.
    """
    known = {entry.entry for entry in bundle.entries}
    found: dict[str, Path] = {}
    for registry, expression in _needed(board, cells):
        name = parse_expression(expression).name.partition(":")[0]
        if known & {f"{registry.kind} {name}", f"{registry.kind} {re.sub(r'-[0-9]+$', '', name)}"}:
            continue
        try:
            entry, _ = registry.lookup(expression)
        except UserError:
            raise UserError(
                f"the code of the {registry.kind} '{name}' is not here, so nobody could check its "
                f"figures; name its file with --plugin."
            ) from None
        name = entry.name.partition(":")[0]
        if is_shipped(registry.kind, name):
            if is_edited(registry.kind, name, registry.source_identity(expression)):
                raise UserError(
                    f"the {registry.kind} '{name}' of this robench was edited, so nobody else "
                    f"could check its figures; give the edited one a name and a file of its own."
                )
            continue
        if not Path(entry.file).is_file():
            raise UserError(
                f"the {registry.kind} '{name}' is not defined in a file, so nobody else could load "
                f"it; write it to a .py file, name that with --plugin, and run the board again."
            )
        found[f"{registry.kind} {name}"] = Path(entry.file)
    return joined([bundle, _bundled(found)])


def data_name(board: Board, dataset: str, bundle: Bundle) -> str:
    """Return the name by which others load the data set: never a path.

    Args:
        board: the board, which may name a folder.
        dataset: the name of the data set in tables.
        bundle: the code that goes with the board.
    """
    own = {entry.entry for entry in bundle.entries if entry.entry.startswith("data set ")}
    found = (board.data.name, dataset)
    return next((name for name in found if f"data set {entry_of(name)}" in own), dataset)


def joined(bundles: Sequence[Bundle]) -> Bundle:
    """Return several bundles as one.

    Raises:
        UserError: if an entry has other code in one than in another.
    """
    entries: dict[str, SourceEntry] = {}
    files: dict[str, bytes] = {}
    for bundle in bundles:
        for entry in bundle.entries:
            if entries.setdefault(entry.entry, entry).file != entry.file:
                raise UserError(
                    f"two boards have a {entry.words} with other code each ({SOURCES}/"
                    f"{entries[entry.entry].file} and {SOURCES}/{entry.file}); rename one of them."
                )
        files |= bundle.files
    return Bundle(tuple(entries.values()), files)


def names_of(cell: Cell) -> list[str]:
    """Return kind and name of each entry that a trained cell names: ``defense my_norm``."""
    parts = zip(OF_ROWS, (cell.defense, cell.training.method, cell.model.name), strict=True)
    return [f"{kind} {parse_expression(expression).name}" for kind, expression in parts]


def _named(board: Board) -> Iterator[tuple[Registry[Any], str]]:
    for row in resolve_rows(board) if board.row_specs else ():
        yield defenses, row.spec.defense
        yield training_methods, row.recipe.method
        yield backbones, row.model.name
    if entry_of(board.data.name) is not None:
        yield datasets, board.data.name
    for attack in board.evaluation.attacks:
        yield attacks, attack
    for check in added_checks() if board.evaluation.checks else ():
        yield checks, check


def _needed(board: Board, cells: Sequence[Cell]) -> Iterator[tuple[Registry[Any], str]]:
    for cell in cells:
        yield defenses, cell.defense
        yield training_methods, cell.training.method
        yield backbones, cell.model.name
    if entry_of(board.data.name) in datasets:
        yield datasets, board.data.name
    for attack in board.evaluation.attacks:
        yield attacks, attack


def _bundled(found: Mapping[str, Path]) -> Bundle:
    entries: list[SourceEntry] = []
    files: dict[str, bytes] = {}
    trees = {path: plugin_tree(path) for path in found.values()}
    for group in _groups({path: files for path, (_, files) in trees.items()}):
        own = [name for name, path in found.items() if path in group]
        root = Path(os.path.commonpath([trees[path][0] for path in group]))
        parts = sorted({path for files in group.values() for path in files})
        contents = {_name(path, root): _content(path) for path in parts}
        digest = hashlib.sha256()
        for name, content in contents.items():
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        folder = f"{_plain(found[own[0]].stem)}-{digest.hexdigest()[:8]}"
        files |= {f"{folder}/{name}": content for name, content in contents.items()}
        for name in own:
            file = f"{folder}/{_name(found[name], root)}"
            entries.append(SourceEntry(entry=name, file=file))
    return Bundle(tuple(sorted(entries, key=lambda entry: entry.entry)), files)


def _groups(files: Mapping[Path, set[Path]]) -> list[dict[Path, set[Path]]]:
    """Group the files of entries so that no two groups share a file, which would be loaded twice.

    Args:
        files: the file of an entry -> all files that it consists of.
    """
    groups: list[dict[Path, set[Path]]] = []
    for path, parts in files.items():
        merged = {path: parts}
        for group in [g for g in groups if any(parts & others for others in g.values())]:
            groups.remove(group)
            merged |= group
        groups.append(merged)
    return groups


def _name(path: Path, root: Path) -> str:
    """Return a path below ``root``; only the file of an entry can have a name to make plain."""
    inner = path.relative_to(root)
    return inner.with_name(f"{_plain(inner.stem)}.py").as_posix()


def _plain(stem: str) -> str:
    return re.sub(r"[^\w-]", "_", stem)[:80]


def _kind(entry: SourceEntry) -> str:
    return entry.entry.rpartition(" ")[0]


def _content(path: Path) -> bytes:
    return read_bytes(path, longest=CODE_BYTES)
