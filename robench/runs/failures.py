"""What is said at the end of a run about the cells that failed."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.errors import UserError
from robench.system.out_of_memory import is_out_of_memory

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


def check_failures(failures: Sequence[Failure]) -> None:
    """Do nothing if no cell failed.

    Raises:
        UserError: if one did; it names each of them, and says once what several have in common.
    """
    if not failures:
        return
    names: dict[str, list[str]] = {}
    for failure in failures:
        found = names.setdefault(reason_of(failure.error), [])
        if failure.name not in found:
            found.append(failure.name)
    parts = [f"{' and '.join(cells)}: {reason}" for reason, cells in names.items()]
    raise UserError(f"{'; '.join(parts)}; {GOES_ON}.") from failures[0].error


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
