"""What follows the cells of a run from outside, such as an experiment tracker."""

from collections.abc import Sequence
from typing import Protocol

from robench.runs.records import CellResult
from robench.runs.steps import CellJob


class CellObserver(Protocol):
    """Is told of cells as they are; nothing that it does may raise or change a result."""

    def begin(self, jobs: Sequence[CellJob]) -> None:
        """Take the cells of the run, before any work on them."""

    def trained(self, job: CellJob) -> None:
        """Take note that a cell is trained, and that no more is to be done for it."""

    def finished(self, job: CellJob, result: CellResult) -> None:
        """Take the result of a cell of which nothing is missing."""


class NullObserver:
    """An observer that does nothing."""

    def begin(self, jobs: Sequence[CellJob]) -> None:
        """Do nothing."""

    def trained(self, job: CellJob) -> None:
        """Do nothing."""

    def finished(self, job: CellJob, result: CellResult) -> None:
        """Do nothing."""
