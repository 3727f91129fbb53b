"""Progress reporters, which a run calls while it works."""

from collections.abc import Mapping
from typing import Protocol

from robench.progress import Progress

HELD = "another run is at work on it"
"""The state of a cell that is waited for."""


class ProgressLine(Protocol):
    """What one piece of work reports to, while others may run beside it."""

    def update(self, progress: Progress) -> None:
        """Report the progress of the piece."""

    def close(self) -> None:
        """Report that the piece has ended."""


class ProgressReporter(Protocol):
    """The interface through which a run reports its progress."""

    def stage(self, name: str, state: str) -> None:
        """Report that a stage of a cell begins, or how the cell ended.

        Args:
            name: the cell, such as ``"convnorm, seed 0"``.
            state: "training", "attacking", "checking", "measuring", "stored" or "diverged"; or
                :data:`HELD`.
        """

    def update(self, progress: Progress) -> None:
        """Report the progress of the current stage."""

    def announce(self, name: str, state: str) -> None:
        """Report a stage of a cell whose pieces have lines of their own; see :meth:`stage`."""

    def line(self, name: str, state: str) -> ProgressLine:
        """Return what a piece of a stage reports to until it is closed; see :meth:`stage`."""

    def row(self, name: str, accuracies: Mapping[str, float], left: float) -> None:
        """Report the accuracies of a cell, as soon as all of them are known.

        Args:
            name: the cell.
            accuracies: column -> accuracy, in [0, 1].
            left: roughly how many seconds the rest of the run takes.
        """


class NullReporter:
    """A progress reporter that does nothing."""

    def stage(self, name: str, state: str) -> None:
        """Do nothing."""

    def update(self, progress: Progress) -> None:
        """Do nothing."""

    def announce(self, name: str, state: str) -> None:
        """Report a stage."""
        self.stage(name, state)

    def line(self, name: str, state: str) -> ProgressLine:
        """Return this reporter."""
        return self

    def row(self, name: str, accuracies: Mapping[str, float], left: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
