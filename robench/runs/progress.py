"""Progress reporters: what a run calls while it works."""

from typing import Protocol

from robench.training.loop import Progress


class ProgressReporter(Protocol):
    """Called with what a run is doing."""

    def cell(self, title: str, seed: int, state: str) -> None:
        """A cell's state: "training", "attacking", "stored", "diverged" or "checking"."""

    def training(self, progress: Progress) -> None:
        """Training goes on."""

    def attacking(self, attack: str, done: int, total: int) -> None:
        """So many of the images are through with an attack."""

    def measuring(self, network: str, layer: str, done: int, total: int) -> None:
        """So many of a network's layers are measured; ``layer`` is next."""


class NullReporter:
    """Report nothing."""

    def cell(self, title: str, seed: int, state: str) -> None:
        """Do nothing."""

    def training(self, progress: Progress) -> None:
        """Do nothing."""

    def attacking(self, attack: str, done: int, total: int) -> None:
        """Do nothing."""

    def measuring(self, network: str, layer: str, done: int, total: int) -> None:
        """Do nothing."""
