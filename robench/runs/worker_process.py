"""A process that does pieces of work for another one, its driver, until that one is gone.

It is started before torch is imported, and imports it only after signals are handled.
"""

import os
import queue
import signal
import sys
import threading
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from robench.errors import RobenchWarning, UserError
from robench.progress import Progress

if TYPE_CHECKING:
    from robench.runs.context import RunContext
    from robench.runs.pieces import Piece
    from robench.runs.setup import Setup

PAUSE = 0.1
"""Least time between two reports on the same task, in seconds."""


@dataclass(frozen=True)
class Said:
    """A warning for the user."""

    text: str


@dataclass(frozen=True)
class Done:
    """The result of a piece."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """Why a piece has no result, as a part of a sentence, and where that was found out.

    Its process ends if its GPU has failed: all later pieces would fail there, too.
    """

    reason: str
    trace: str
    ends_process: bool = False

    @classmethod
    def of(cls, error: Exception) -> "Failed":
        """Return the failure that an error is; a mistake of the user needs no trace."""
        from robench.runs.failures import reason_of
        from robench.system.out_of_memory import is_gpu_failure

        trace = "" if isinstance(error, UserError) else traceback.format_exc()
        return cls(reason_of(error), trace, is_gpu_failure(error))

    def error(self) -> UserError:
        """Return what the driver makes of it."""
        error = UserError(self.reason)
        if self.trace:
            error.add_note(self.trace)
        return error


_terminated: list[int] = []
"""The signal that ends this process, once it has come."""

Message = Progress | Said | Done | Failed
"""What a worker sends to its driver; the last two end a piece."""


def serve(connection: Connection, setup: "Setup") -> None:
    """Do the pieces that come through a connection, and send what comes of each.

    Ctrl-C and SIGHUP, which a terminal sends to all processes of a command, are the driver's; it
    sends SIGTERM, upon which an attack keeps what is done.

    Args:
        connection: the worker's end. When the other end is closed, or its process has ended in any
            way, this process ends at once.
        setup: the run.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    sys.stdout = sys.stderr  # of what a user's own code prints; the driver's may be JSON alone
    inbox: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # the driver has blocked all
        _say_through(connection)
        _work(connection, setup, inbox)
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGTERM)  # nothing is left to do, and torch takes seconds to end


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    _terminated.append(number)
    raise KeyboardInterrupt


def _receive(connection: Connection, inbox: "queue.SimpleQueue[Piece]") -> None:
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            # The driver is gone, and with it the lock: nothing may be written any longer.
            os._exit(0)
        except Exception:  # a piece that cannot be read here: the driver would wait for ever
            traceback.print_exc()
            os._exit(1)


def _say_through(connection: Connection) -> None:
    shown = warnings.showwarning

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        if isinstance(message, RobenchWarning):
            connection.send(Said(str(message)))
        else:
            shown(message, *where, **more)

    warnings.showwarning = show


def _work(connection: Connection, setup: "Setup", inbox: "queue.SimpleQueue[Piece]") -> None:
    ctx: RunContext | None = None
    while True:
        piece = inbox.get()
        try:
            if ctx is None:
                ctx = _prepared(setup)
            value = _perform(piece, ctx, connection)
        except Exception as error:
            if _terminated:  # a library may have made something else of the interrupt
                raise KeyboardInterrupt from error
            failed = Failed.of(error)
            connection.send(failed)
            if failed.ends_process:
                os._exit(1)  # what is left of CUDA's context may hang an orderly end
        else:
            connection.send(Done(value))


def _prepared(setup: "Setup") -> "RunContext":
    from robench.system.memory import keep_freed_memory

    keep_freed_memory()
    _share_no_progress_bars()
    return setup.context()


def _share_no_progress_bars() -> None:
    """Keep tqdm, which libraries use, from making a semaphore that several processes share.

    This process ends at once, and Python would complain of a semaphore that is left.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        return
    tqdm.set_lock(threading.RLock())


def _perform(piece: "Piece", ctx: "RunContext", connection: Connection) -> Any:
    from robench.runs.pieces import perform

    sent: tuple[str, float] = ("", 0.0)

    def update(progress: Progress) -> None:
        nonlocal sent
        now = time.monotonic()
        if progress.task != sent[0] or now - sent[1] > PAUSE:
            sent = progress.task, now
            connection.send(progress)

    return perform(piece, ctx.reporting_to(update))
