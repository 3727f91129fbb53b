"""Progress reporters: what a run calls while it works."""

from typing import Protocol

from robench.progress import Progress


class ProgressReporter(Protocol):
    """Called with what a run is doing."""

    def stage(self, name: str, state: str) -> None:
        """Something begins or ends.

        Args:
            name: what it is done to: ``"convnorm, seed 0"``.
            state: "training", "attacking", "checking", "measuring", "stored" or "diverged".
        """

    def update(self, progress: Progress) -> None:
        """The work goes on."""


class NullReporter:
    """Report nothing."""

    def stage(self, name: str, state: str) -> None:
        """Do nothing."""

    def update(self, progress: Progress) -> None:
        """Do nothing."""
