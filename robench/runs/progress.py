"""Progress reporters, which a run calls while it works."""

from typing import Protocol

from robench.progress import Progress


class ProgressReporter(Protocol):
    """The interface through which a run reports its progress."""

    def stage(self, name: str, state: str) -> None:
        """Report that a stage of a cell begins, or how the cell ended.

        Args:
            name: the cell, such as ``"convnorm, seed 0"``.
            state: "training", "attacking", "checking", "measuring", "stored" or "diverged".
        """

    def update(self, progress: Progress) -> None:
        """Report the progress of the current stage."""


class NullReporter:
    """A progress reporter that does nothing."""

    def stage(self, name: str, state: str) -> None:
        """Do nothing."""

    def update(self, progress: Progress) -> None:
        """Do nothing."""
