"""Who is told how the work goes: nobody, a progress bar, a test."""

from typing import Protocol

from robench.training.loop import Progress


class Watcher(Protocol):
    """Told what a cell does."""

    def cell(self, title: str, seed: int, state: str) -> None:
        """A cell's state: "training", "attacking", "stored", "diverged" or "checking"."""

    def training(self, progress: Progress) -> None:
        """Training goes on."""

    def attacking(self, attack: str, done: int, total: int) -> None:
        """So many of the images are through with an attack."""

    def measuring(self, network: str, layer: str, done: int, total: int) -> None:
        """So many of a network's layers are measured; ``layer`` is next."""


class Silent:
    """A watcher that says nothing."""

    def cell(self, title: str, seed: int, state: str) -> None:
        """Say nothing."""

    def training(self, progress: Progress) -> None:
        """Say nothing."""

    def attacking(self, attack: str, done: int, total: int) -> None:
        """Say nothing."""

    def measuring(self, network: str, layer: str, done: int, total: int) -> None:
        """Say nothing."""
