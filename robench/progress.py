"""Progress: a snapshot of work under way, and what a long function calls with it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Progress snapshot, reported a few times per second.

    Attributes:
        task: what is under way: ``"training"``, the name of an attack, of a network.
        done: how many units are finished.
        total: how many there are.
        unit: what is counted, in the plural: ``"images"``.
        note: what else a person wants to see, such as the epoch and its accuracy.
    """

    task: str
    done: int
    total: int
    unit: str
    note: str = ""


ProgressCallback = Callable[[Progress], None]
"""Called with a snapshot while the work goes on."""


def ignore_progress(progress: Progress) -> None:
    """Report nothing."""
