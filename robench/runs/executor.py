"""Executors: where pieces of work are done. The simplest does them here, one after the other.

An executor places pieces and reports how they ended; it knows nothing of boards and cells. The
store, the order of the pieces and what follows from them are the driver's
(:mod:`robench.runs.schedule`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from robench.runs.context import RunContext
from robench.runs.pieces import Piece, perform
from robench.system.out_of_memory import is_out_of_memory


@dataclass(frozen=True, eq=False)
class Ended:
    """How a piece ended.

    Attributes:
        piece: the piece, the object that was submitted.
        value: its result.
        error: why there is no result; None if there is one.
    """

    piece: Piece
    value: Any = None
    error: Exception | None = None


class Executor(Protocol):
    """Does pieces of work; a context manager, which ends whatever still runs when it is left."""

    @property
    def free(self) -> bool:
        """Whether it can begin another piece now."""

    def takes(self, piece: Piece) -> bool:
        """Return whether it can begin this piece now."""

    def submit(self, piece: Piece) -> None:
        """Begin a piece that it takes."""

    def wait(self, seconds: float | None = None) -> Sequence[Ended]:
        """Wait until one or more of the submitted pieces have ended, and return them.

        Args:
            seconds: after how many to return in any case; None for never.
        """

    def __enter__(self) -> Self:
        """Return the executor."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End whatever still runs, and wait until it has ended."""


class InThisProcess:
    """Does each piece in this process, one at a time.

    Args:
        ctx: the context of the run, with a store whose locks are held.
    """

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx
        self._piece: Piece | None = None

    @property
    def free(self) -> bool:
        """Whether no other piece waits; see :class:`Executor`."""
        return self._piece is None

    def takes(self, piece: Piece) -> bool:
        """Return whether no other piece waits; see :class:`Executor`."""
        return self.free

    def submit(self, piece: Piece) -> None:
        """Keep the piece until somebody waits for it; see :class:`Executor`."""
        self._piece = piece

    def wait(self, seconds: float | None = None) -> Sequence[Ended]:
        """Do the piece, however long it takes; see :class:`Executor`.

        Raises:
            MemoryError: or another error that means that memory is short: the next piece, in the
                same process, would have no more.
        """
        piece, self._piece = self._piece, None
        assert piece is not None
        line = self._ctx.reporter.line(piece.name, piece.state)
        try:
            return [Ended(piece, perform(piece, self._ctx.reporting_to(line.update)))]
        except Exception as error:
            if is_out_of_memory(error):
                raise
            return [Ended(piece, error=error)]
        finally:
            line.close()

    def __enter__(self) -> Self:
        """Return the executor."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: nothing runs while nobody waits."""
