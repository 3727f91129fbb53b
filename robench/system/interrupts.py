"""Ctrl-C, SIGTERM and SIGHUP: postponed to a moment at which the state of the work can be saved."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupts:
    """The interrupt that was asked for while interrupts are postponed; a second one is not."""

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._pending: tuple[int, FrameType | None] | None = None

    @property
    def pending(self) -> bool:
        """Whether an interrupt waits to be delivered."""
        return self._pending is not None

    def deliver(self) -> None:
        """Do what the pending interrupt would have done, if there is one."""
        if self._pending is not None:
            (number, frame), self._pending = self._pending, None
            self._deliver(number, frame)

    def postpone(self) -> None:
        """Postpone interrupts from now on; those that the process ignores stay ignored."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) or handler == signal.SIG_DFL:
                self._handlers[number] = handler
                signal.signal(number, self._receive)

    def restore(self) -> None:
        """Handle interrupts as before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.pending:
            self._deliver(number, frame)
        else:
            self._pending = (number, frame)

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, handler)
            os.kill(os.getpid(), number)


@contextmanager
def postponed_interrupts(wanted: bool = True) -> Iterator[Interrupts]:
    """Postpone Ctrl-C, SIGTERM and SIGHUP until they are delivered, at the latest at the end.

    A second one is not postponed: a step of a large network may take minutes. Does nothing outside
    the main thread, which alone receives signals.

    Args:
        wanted: whether to postpone at all.
    """
    interrupts = Interrupts()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    interrupts.postpone()
    try:
        yield interrupts
    finally:
        interrupts.restore()
        interrupts.deliver()
