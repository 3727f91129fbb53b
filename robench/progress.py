"""Progress snapshots of running work, and the callback that receives them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Progress snapshot, reported a few times per second.

    Attributes:
        task: what is running: ``"training"``, or the name of an attack or a network.
        done: the number of finished units.
        total: the number of units in all.
        unit: what is counted, in the plural: ``"images"``.
        note: what else is worth showing, such as the epoch and its accuracy.
    """

    task: str
    done: int
    total: int
    unit: str
    note: str = ""


ProgressCallback = Callable[[Progress], None]
"""Called with a snapshot while the work is running."""


def ignore_progress(progress: Progress) -> None:
    """Ignore the snapshot."""
