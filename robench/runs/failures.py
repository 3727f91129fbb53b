"""What is said at the end of a run about the cells that failed."""

import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from robench.errors import UserError
from robench.runs.store import CellFolder
from robench.system.files import write_json
from robench.system.json_files import read_json
from robench.system.locks import HeldError
from robench.system.out_of_memory import is_out_of_memory
from robench.system.provenance import code_version

GOES_ON = "what is finished is stored, and the same command goes on from there"


@dataclass(frozen=True, eq=False)
class Failure:
    """A cell that failed.

    Attributes:
        name: the cell, as progress reports call it.
        error: why.
    """

    name: str
    error: Exception


class FailedCellsError(UserError):
    """Cells of a board failed.

    Attributes:
        cells: which, and why.
        evaluated: the titles of the rows of which every network was attacked and none failed.
    """

    def __init__(self, cells: str, evaluated: tuple[str, ...] = ()) -> None:
        super().__init__(f"{cells}; {GOES_ON}.")
        self.cells, self.evaluated = cells, evaluated

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.cells, self.evaluated)


def check_failures(failures: Sequence[Failure], evaluated: Iterable[str] = ()) -> None:
    """Do nothing if no cell failed.

    Args:
        failures: the cells that failed.
        evaluated: the titles of the rows of which every network was attacked and none failed.

    Raises:
        FailedCellsError: if one did; it names each, and says once what several have in common.
    """
    if not failures:
        return
    names: dict[str, list[str]] = {}
    for failure in failures:
        found = names.setdefault(reason_of(failure.error), [])
        if failure.name not in found:
            found.append(failure.name)
    parts = [f"{' and '.join(cells)}: {reason}" for reason, cells in names.items()]
    raise FailedCellsError("; ".join(parts), tuple(evaluated)) from failures[0].error


def keep_failures(failures: Sequence[Failure], folders: Mapping[str, CellFolder]) -> None:
    """Write down in each failed cell why it failed, for those who ask later.

    Args:
        failures: the cells that failed.
        folders: name of a cell -> its folder.
    """
    for failure in failures:
        if isinstance(failure.error, HeldError):  # by another run, which may not fail
            continue
        note = {"reason": reason_of(failure.error), "version": code_version()}
        with suppress(UserError):  # a full disk may be why it failed
            write_json(folders[failure.name].failed, note)


def forget_failures(folders: Iterable[CellFolder]) -> None:
    """Remove what an earlier run wrote down: the cells are tried again."""
    for folder in folders:
        with suppress(OSError):
            folder.failed.unlink()


def failure_of(folder: CellFolder) -> str | None:
    """Return why the last run failed in a cell, or None if it did not."""
    if not folder.failed.exists():
        return None
    with suppress(UserError, KeyError, TypeError):
        return str(read_json(folder.failed)["reason"])
    return "its note cannot be read"


def reason_of(error: Exception) -> str:
    """Return why a piece of work failed, as a part of a sentence."""
    if isinstance(error, UserError):
        return str(error).rstrip(".")
    if is_out_of_memory(error):
        return "out of memory; free some, or lower --jobs or the batch sizes of the board"
    frames = list(traceback.extract_tb(error.__traceback__))
    # Where an installed library raised says less than who called it.
    frames = [f for f in frames if "site-packages" not in f.filename] or frames[-1:]
    where = f" in line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else ""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}{where}: {first}".rstrip(".")
