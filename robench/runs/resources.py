"""What each piece of work asks an engine for: the file of ``--resources``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robench.errors import UserError


@dataclass(frozen=True)
class Resources:
    """What the file says.

    Attributes:
        processes: how many processes train a network together, each on a GPU of its own where
            there are GPUs.
        scheduler: the other keys, which are the scheduler's.
    """

    processes: int = 1
    scheduler: Mapping[str, Any] = field(default_factory=dict)


def read_resources(file: Path, kind: str) -> Resources:
    """Read the file of ``--resources``.

    Args:
        file: a TOML file.
        kind: the executor that it is for.

    Raises:
        UserError: if it cannot be read, or has a key that the executor does not know.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}.") from error
    processes = found.pop("processes", 1)
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise UserError(f"{file}: processes is {processes!r}; give a whole number from 1.")
    if found and kind != "slurm":
        raise UserError(
            f"{file}: '{min(found)}' is for --executor slurm; {kind} takes 'processes' alone."
        )
    return Resources(processes, found)
