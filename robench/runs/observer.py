"""What follows the cells of a run from outside, such as an experiment tracker."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

Planned = TypeVar("Planned", contravariant=True)
Result = TypeVar("Result", contravariant=True)


class Observer(Protocol[Planned, Result]):
    """Is told of cells as they are; nothing that it does may raise or change a result."""

    def begin(self, cells: Sequence[Planned]) -> None:
        """Take the cells of the run, before any work on them."""

    def trained(self, cell: Planned) -> None:
        """Take note that a cell is trained, and that no more is to be done for it."""

    def finished(self, cell: Planned, result: Result) -> None:
        """Take the result of a cell of which nothing is missing."""


class NullObserver:
    """An observer that does nothing."""

    def begin(self, cells: Sequence[object]) -> None:
        """Do nothing."""

    def trained(self, cell: object) -> None:
        """Do nothing."""

    def finished(self, cell: object, result: object) -> None:
        """Do nothing."""
