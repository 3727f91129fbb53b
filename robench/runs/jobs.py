"""How many pieces of work run at the same time: what the user asks for, or what suits the machine.

Results do not depend on it.
"""

import warnings
from collections.abc import Sequence
from typing import Protocol

import joblib
import psutil
import torch

from robench.errors import RobenchWarning, UserError
from robench.registry import REGISTRIES
from robench.runs.context import RunContext
from robench.system.devices import gpus_for
from robench.system.processes import this_shard

MOST = 8
"""Largest number that is chosen without being asked for."""

MEMORY = 1.5 * 2**30
"""Bytes of free memory for each process that is chosen so: a narrow network takes somewhat less."""


class Planned(Protocol):
    """A network of a board: what the number of processes depends on."""

    @property
    def threads(self) -> int:
        """The number of threads that it is computed with."""

    @property
    def is_stored(self) -> bool:
        """Whether nothing is left to compute of it that takes long."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to compute of it at all."""


def chosen_jobs(asked: int | None, cells: Sequence[Planned], ctx: RunContext) -> int:
    """Return how many pieces of work run at the same time.

    Without a wish, narrow networks get one process per thread that torch may use (cores, or
    ``OMP_NUM_THREADS``), as far as the free memory suffices, wide networks one process, and each
    GPU one. If all is stored it is always 1.

    Args:
        asked: the number that the user asks for; None for what suits the machine.
        cells: the cells of the board.
        ctx: the context of the run.

    Raises:
        UserError: if it is below 1; or above 1 under ``torchrun``, or with an entry that other
            processes cannot import.
    """
    if asked is not None and asked < 1:
        raise UserError(f"jobs is {asked}; give 1 or more.")
    if asked is not None and asked > 1:
        refuse_other_processes(f"--jobs {asked}")
    threads = max((cell.threads for cell in cells if not cell.is_stored), default=None)
    if threads is None:
        return 1
    if asked is not None:
        if ctx.device.type == "cpu":
            _say_if_fewer(asked, threads)
        return asked
    if this_shard().count > 1 or unimportable():
        return 1
    if ctx.device.type != "cpu":
        return max(1, len(gpus_for(ctx.device)))
    room = int(psutil.virtual_memory().available / MEMORY)
    return max(1, min(torch.get_num_threads() // threads, room, MOST))


def refuse_other_processes(option: str) -> None:
    """Refuse to use other processes where they could not do their part.

    Args:
        option: what asked for them.

    Raises:
        UserError: under ``torchrun``, or with an entry that other processes cannot import.
    """
    if this_shard().count > 1:
        raise UserError(f"{option} under torchrun, whose processes share each cell; leave one out.")
    if names := unimportable():
        raise UserError(
            f"{names[0]} is registered in a script or notebook, which other processes cannot "
            f"import: put it into a file of its own and load that as a plugin, or run with "
            f"jobs=1."
        )


def unimportable() -> list[str]:
    """Return the entries that were registered by a script or notebook: kind and name of each."""
    return [
        f"{registry.kind} '{entry.name}'"
        for registry in REGISTRIES
        for entry in registry.entries()
        if getattr(entry.build, "__module__", "") == "__main__"
    ]


def cores() -> int:
    """Return the number of cores that this process may use, or of threads if torch has more."""
    return max(joblib.cpu_count(only_physical_cores=True), torch.get_num_threads())


def _say_if_fewer(asked: int, threads: int) -> None:
    at_once = max(1, cores() // threads)
    if threads > 1 and at_once < asked:
        warnings.warn(
            f"--jobs {asked}: some of these networks are wide and are computed with {threads} "
            f"threads each, so {at_once} at a time; OMP_NUM_THREADS sets the number of threads.",
            RobenchWarning,
            stacklevel=3,
        )
