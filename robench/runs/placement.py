"""Where a run does its pieces of work: one object that is handed through."""

from dataclasses import dataclass
from pathlib import Path

from robench.errors import UserError, did_you_mean

KINDS = ("local", "ray", "slurm")
"""What an executor may begin with; ``ray`` and ``slurm`` take a place after a colon."""


@dataclass(frozen=True)
class Placement:
    """Where pieces are done; results do not depend on it.

    Attributes:
        executor: ``"local"``, ``"ray"``, ``"ray:ADDRESS"`` or ``"slurm"``.
        jobs: the number of pieces at the same time, each in a process of its own if there are more
            than one; None for what suits the machine or the cluster.
        resources: a TOML file of what each piece asks the engine for; see
            :mod:`robench.runs.resources`.

    Raises:
        UserError: if there is no such executor, it takes no place or no resources, or jobs is
            below 1.
    """

    executor: str = "local"
    jobs: int | None = 1
    resources: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"unknown executor '{self.kind}'; {did_you_mean(self.kind, KINDS)}")
        if self.is_local and self.place:
            raise UserError(
                f"the executor 'local' takes nothing after it; leave out ':{self.place}'."
            )
        if self.resources is not None and self.is_local:
            raise UserError("--resources is for --executor ray or slurm, not for 'local'.")
        if self.jobs is not None and self.jobs < 1:
            raise UserError(f"jobs is {self.jobs}; give 1 or more.")

    @property
    def kind(self) -> str:
        """What the executor begins with; see :data:`KINDS`."""
        return self.executor.partition(":")[0]

    @property
    def place(self) -> str:
        """What comes after the colon; empty for the default."""
        return self.executor.partition(":")[2]

    @property
    def is_local(self) -> bool:
        """Whether all pieces are done on this machine, without an engine."""
        return self.kind == "local"
