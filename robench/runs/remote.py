"""The executor of other machines: it hands pieces to an engine, and again if they were lost.

An engine, such as Ray or Slurm, only finds a place for a call. What a piece is, what it needs and
what is done if it fails is decided here, the same way for all of them. The error of a piece is
final; a piece that was lost with its process or machine is handed out again, and goes on from the
last epoch and the last attacked samples if the store has them.
"""

import math
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, Self

from robench.errors import RobenchWarning, UserError
from robench.progress import Progress
from robench.runs.executor import Ended
from robench.runs.gan_pieces import GanTraining
from robench.runs.gan_status import steps_logged
from robench.runs.pieces import Piece, Training
from robench.runs.progress import ProgressLine, ProgressReporter
from robench.runs.remote_work import (
    Answer,
    Parcel,
    cell_of,
    parcel_for,
    sign_in,
    store_made,
)
from robench.runs.setup import Setup
from robench.runs.status import epochs_of
from robench.runs.store import CellFolder

RETRIES = 3
"""How often a piece is handed out again that is lost without having come any further."""

PATIENCE = 20.0
"""Seconds that pieces get to keep what they have done before they are killed."""

DELAY = 2.0
"""Seconds before a lost piece is handed out again, doubled each time: an engine takes a while to
notice that a machine is gone."""

PAUSE = 0.5
"""Seconds between two looks at what has ended."""

Handle = Any
"""What an engine gives for a call."""


class LostError(Exception):
    """A call has no answer: its process or machine was lost. Says why as part of a sentence."""


class Engine(Protocol):
    """Calls :func:`robench.runs.remote_work.do_remotely` on other machines."""

    @property
    def slots(self) -> int:
        """How many calls it has a place for at the same time."""

    def check(self, setup: Setup, piece: Piece) -> None:
        """Refuse a piece that no machine can do.

        Raises:
            UserError: if it needs more CPUs or GPUs than any machine has.
        """

    def call(self, setup: Setup, piece: Piece, sign: str, parcel: Parcel | None) -> Handle:
        """Begin a call."""

    def ended(self, handles: Sequence[Handle], seconds: float) -> Sequence[Handle]:
        """Return those that have ended, if need be after waiting for at most that long."""

    def answer(self, handle: Handle) -> Answer:
        """Return what a call that has ended gave.

        Raises:
            LostError: if it was lost.
        """

    def cancel(self, handle: Handle, *, force: bool) -> None:
        """Interrupt a call, or kill its process."""

    def close(self) -> None:
        """Leave the machines to others."""


@dataclass(eq=False)
class _Call:
    """A piece that is out; without a handle it waits to be handed out again at ``due``."""

    piece: Piece
    handle: Handle | None
    line: ProgressLine
    lost: int = 0
    mark: object = None
    due: float = 0.0


class RemotePieces:
    """Does pieces of work where an engine finds a place; see :class:`Executor`.

    Args:
        engine: the engine.
        setup: the run; its paths are absolute.
        jobs: the largest number of pieces that are handed out at the same time; None for as many as
            the engine has places for.
        reporter: gets a line for each piece.
    """

    def __init__(
        self, engine: Engine, setup: Setup, jobs: int | None, reporter: ProgressReporter
    ) -> None:
        self._engine, self._setup, self._reporter = engine, setup, reporter
        self._jobs = jobs or max(1, engine.slots)
        self._calls: list[_Call] = []
        self._said: set[str] = set()
        self._sign = ""
        self._exits = ExitStack()

    @property
    def free(self) -> bool:
        """Whether fewer pieces are out than may be; see :class:`Executor`."""
        return len(self._calls) < self._jobs

    def takes(self, piece: Piece) -> bool:
        """Return whether another piece may go out; see :class:`Executor`."""
        return self.free

    def submit(self, piece: Piece) -> None:
        """Hand out a piece; see :class:`Executor`.

        Raises:
            UserError: if no machine can do it.
        """
        self._engine.check(self._setup, piece)
        handle = self._engine.call(self._setup, piece, self._sign, None)
        line = self._reporter.line(piece.name, piece.state)
        self._calls.append(_Call(piece, handle, line, mark=self._mark(piece)))

    def wait(self, seconds: float | None = None) -> Sequence[Ended]:
        """Wait until pieces have ended, and hand out again what was lost; see :class:`Executor`."""
        ended: list[Ended] = []
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while not ended and time.monotonic() < deadline:
            self._hand_out_again()
            if out := self._handles:
                found = self._engine.ended(out, PAUSE)
            else:
                time.sleep(PAUSE)
                found = []
            for call in [call for call in self._calls if call.handle in found]:
                if (end := self._end_of(call)) is not None:
                    call.line.close()
                    self._calls.remove(call)
                    ended.append(end)
            for call in self._calls:
                self._report(call)
        return ended

    def __enter__(self) -> Self:
        """Sign in at the store, and return the executor."""
        self._sign = self._exits.enter_context(sign_in(self._setup.store))
        return self

    def __exit__(self, *error: object) -> None:
        """Cancel all calls; attacks keep what is done, where they see the store."""
        try:
            self._cancel()
        finally:
            for call in self._calls:
                call.line.close()
            self._calls = []
            self._exits.close()
            self._engine.close()

    def _cancel(self) -> None:
        handles = self._handles
        deadline = time.monotonic() + PATIENCE
        for force in (False, True):
            for handle in handles:
                self._engine.cancel(handle, force=force)
            while handles and time.monotonic() < deadline:
                done = self._engine.ended(handles, PAUSE)
                handles = [handle for handle in handles if handle not in done]

    def _end_of(self, call: _Call) -> Ended | None:
        """Return how a call ended; None if its piece was handed out again."""
        try:
            answer = self._engine.answer(call.handle)
        except LostError as lost:
            return self._again(call, lost)
        for text in answer.said:
            if text not in self._said:
                self._said.add(text)
                warnings.warn(text, RobenchWarning, stacklevel=2)
        if answer.unseen:
            parcel = parcel_for(self._setup, call.piece)
            call.handle = self._engine.call(self._setup, call.piece, self._sign, parcel)
            return None
        if answer.failure is not None:
            return Ended(call.piece, error=answer.failure.error())
        try:
            store_made(answer, self._folder(call.piece))
        except UserError as error:
            return Ended(call.piece, error=error)
        return Ended(call.piece, answer.value)

    def _again(self, call: _Call, lost: LostError) -> Ended | None:
        mark = self._mark(call.piece)
        call.lost = call.lost + 1 if mark == call.mark else 1
        call.mark = mark
        if call.lost > RETRIES:
            times = f"{call.lost} times without getting any further"
            return Ended(call.piece, error=UserError(f"it was lost {times}: {lost}"))
        call.handle, call.due = None, time.monotonic() + DELAY * 2 ** (call.lost - 1)
        return None

    def _hand_out_again(self) -> None:
        for call in self._calls:
            if call.handle is None and time.monotonic() >= call.due:
                call.handle = self._engine.call(self._setup, call.piece, self._sign, None)

    @property
    def _handles(self) -> list[Handle]:
        return [call.handle for call in self._calls if call.handle is not None]

    def _mark(self, piece: Piece) -> object:
        """Return what changes if a piece comes further: what training and attacks have kept."""
        folder = self._folder(piece)
        files = [folder.checkpoint, *sorted(folder.unfinished.glob("*.npz"))]
        kept = [(path.name, path.stat().st_mtime_ns) for path in files if path.exists()]
        return epochs_of(folder), kept

    def _folder(self, piece: Piece) -> CellFolder:
        return CellFolder(self._setup.store / cell_of(piece).key)

    def _report(self, call: _Call) -> None:
        work = call.piece.work
        if isinstance(work, Training):
            done, total = epochs_of(self._folder(call.piece)), work.cell.training.epochs
            call.line.update(Progress("training", done, total, "epochs"))
        elif isinstance(work, GanTraining):
            done = steps_logged(self._folder(call.piece).log)
            call.line.update(Progress("training", done, work.cell.gan.steps, "steps"))
