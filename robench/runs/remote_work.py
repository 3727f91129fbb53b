"""A piece of work on another machine: what travels there, and what comes back.

If the machine sees the run store, the piece is computed there as anywhere else. If it does not,
the files of the piece's cells travel with it, and those that it made come back; the driver writes
them to the store.
"""

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from robench.board.cells import Cell, ExternalCell
from robench.errors import RobenchWarning
from robench.plugins import registrations_undone
from robench.progress import ignore_progress
from robench.runs.context import RunContext
from robench.runs.pieces import Checking, Piece, perform
from robench.runs.records import CellResult, OutcomeFiles
from robench.runs.setup import Setup
from robench.runs.store import CellFolder
from robench.runs.worker_process import Failed
from robench.sources import source_files
from robench.system.devices import choose_device
from robench.system.files import remove, write_bytes, write_text
from robench.system.locks import LOCKS
from robench.system.memory import keep_freed_memory
from robench.system.out_of_memory import is_of_machine

Files = Mapping[str, bytes]
"""Path below a folder -> content."""


@dataclass(frozen=True)
class Parcel:
    """What a machine needs that does not see the store.

    Attributes:
        cells: the folders of the piece's cells, by their names.
        plugins: the path of each plugin in a folder of its own, and what it imports from beside
            it, in the order in which they are loaded.
    """

    cells: Mapping[str, Files]
    plugins: tuple[tuple[str, Files], ...]


@dataclass(frozen=True)
class Answer:
    """What became of a piece.

    Attributes:
        value: its result.
        failure: why there is none.
        said: warnings for the user.
        made: files of the cell, by their paths in its folder; for a machine without the store.
        unseen: the machine does not see the store: nothing was done.
    """

    value: Any = None
    failure: Failed | None = None
    said: tuple[str, ...] = ()
    made: Files = field(default_factory=dict)
    unseen: bool = False


@contextmanager
def sign_in(store: Path) -> Iterator[str]:
    """Put a sign into a store, by which other machines know that it is the same; yield its name."""
    name = f".run-{secrets.token_hex(8)}"
    write_text(store / name, "A run is at work here; see robench/runs/remote_work.py.\n")
    try:
        yield name
    finally:
        remove(store / name)


def do_remotely(setup: Setup, piece: Piece, sign: str, parcel: Parcel | None) -> Answer:
    """Do a piece on this machine; its own errors are answers, and not raised.

    What is raised is the machine's: memory that is short, a GPU that fails. Engines take that for
    a call that was lost.

    Args:
        setup: the run.
        piece: the piece; its driver holds the locks of its cells.
        sign: the sign in the store; see :func:`sign_in`.
        parcel: what to do it with if this machine does not see the store; None to say so.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RobenchWarning)
        answer = _answered(setup, piece, sign, parcel)
    said = [str(w.message) for w in caught if issubclass(w.category, RobenchWarning)]
    return replace(answer, said=tuple(dict.fromkeys([*answer.said, *said])))


def _answered(setup: Setup, piece: Piece, sign: str, parcel: Parcel | None) -> Answer:
    if setup.processes_for(piece) > 1:
        return _in_a_gang(setup, piece, sign)
    try:
        keep_freed_memory()
        choose_device(str(setup.device))  # the driver has not asked whether it is here
        if (setup.store / sign).exists():
            return Answer(_performed(piece, _context(setup)))
        if parcel is None:
            return Answer(unseen=True)
        return _from_parcel(setup, piece, parcel)
    except Exception as error:
        if is_of_machine(error):
            raise  # elsewhere, or in a new process, there may be more: the piece counts as lost
        return Answer(failure=Failed.of(error))


def _in_a_gang(setup: Setup, piece: Piece, sign: str) -> Answer:
    from robench.runs.gang import do_together

    if (setup.store / sign).exists():
        return do_together(setup, piece, sign)
    return Answer(
        failure=Failed(
            f"its machine does not see {setup.store}: a training by several processes needs a "
            f"run store that all machines see",
            trace="",
        )
    )


def _performed(piece: Piece, ctx: RunContext) -> Any:
    return perform(_moved(piece, ctx.store.root), ctx.reporting_to(ignore_progress))


def _moved(piece: Piece, store: Path) -> Piece:
    """Return a piece whose results are those of cells in another place."""

    def moved(result: CellResult | None) -> CellResult | None:
        if result is None or not isinstance(result.outcomes, OutcomeFiles):
            return result
        folder = CellFolder(store / result.evidence.cell.key)
        paths = {name: folder.outcomes(path.stem) for name, path in result.outcomes.paths.items()}
        return replace(result, outcomes=OutcomeFiles(paths))

    work = piece.work
    if not isinstance(work, Checking):
        return piece
    result = moved(work.result)
    assert result is not None
    return replace(piece, work=Checking(result, moved(work.source)))


_last: tuple[Setup, RunContext] | None = None
"""The run of the last piece of this process, whose data and entries need not be loaded again."""


def _context(setup: Setup) -> RunContext:
    global _last
    if _last is None or _last[0] != setup:
        _last = setup, setup.context()
    return _last[1]


def _from_parcel(setup: Setup, piece: Piece, parcel: Parcel) -> Answer:
    # The same plugins come from another folder with the next piece.
    with tempfile.TemporaryDirectory(prefix="robench-") as name, registrations_undone():
        root = Path(name)
        plugins = []
        for number, (plugin, files) in enumerate(parcel.plugins):
            unpack(files, root / f"plugin{number}")
            plugins.append(root / f"plugin{number}" / plugin)
        for cell, files in parcel.cells.items():
            unpack(files, root / "cells" / cell)
        here = replace(setup, store=root / "cells", plugins=tuple(plugins))
        folder = CellFolder(here.store / cell_of(piece).key)
        value = _performed(piece, here.context())
        before = parcel.cells.get(folder.path.name, {})
        made = {path: new for path, new in pack(folder).items() if before.get(path) != new}
        return Answer(value, made=made)


def parcel_for(setup: Setup, piece: Piece) -> Parcel:
    """Return what a machine needs for a piece that does not see the store."""
    keys = sorted({cell.key for cell in _cells_of(piece)})
    cells = {key: pack(CellFolder(setup.store / key)) for key in keys}
    return Parcel(cells, tuple(map(_packed_plugin, setup.plugins)))


def _packed_plugin(plugin: Path) -> tuple[str, Files]:
    files = list(source_files(plugin).values())
    root = Path(os.path.commonpath([path.parent for path in files]))
    packed = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    return plugin.resolve().relative_to(root).as_posix(), packed


def store_made(answer: Answer, folder: CellFolder) -> None:
    """Write what a machine without the store made; the manifest last, since it names the others.

    Meanwhile a mark says of a training that weights without a manifest are no damage.
    """
    trained = folder.manifest.name in answer.made
    if trained:
        write_text(folder.arriving, "What another machine trained is being written here.\n")
    for path in sorted(answer.made, key=lambda path: (path == folder.manifest.name, path)):
        write_bytes(folder.path / path, answer.made[path])
    if trained:
        remove(folder.arriving)


def pack(folder: CellFolder) -> Files:
    """Return the files of a cell that travel: not the driver's lock, nor what is unfinished.

    The state of an unfinished training is as large as two networks.
    """
    locks = (folder.path / name for name in LOCKS)
    stays = {*locks, folder.checkpoint, *folder.unfinished.glob("*")}
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in sorted(folder.path.rglob("*"))
        if path.is_file() and path not in stays
    }


def unpack(files: Files, folder: Path) -> None:
    """Write files into a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        write_bytes(folder / path, content)


def cell_of(piece: Piece) -> Cell | ExternalCell:
    """Return the cell that a piece belongs to."""
    return _cells_of(piece)[0]


def _cells_of(piece: Piece) -> list[Cell | ExternalCell]:
    work: Any = piece.work
    if isinstance(work, Checking):
        return [r.evidence.cell for r in (work.result, work.source) if r is not None]
    return [work.cell]
