"""Progress in a pipe or a log file: a line now and then instead of a bar."""

import time
from collections.abc import Callable

from rich.console import Console

from robench.cli.time_left import time_left
from robench.progress import Progress

EVERY = 300.0
"""Seconds from one line of a piece of work to its next."""


class LogLine:
    """Prints how far one piece of work is, every five minutes; short pieces print nothing.

    Args:
        console: where to print.
        name: what the piece belongs to, with which its lines begin; may be empty.
        clock: returns the time in seconds.
    """

    def __init__(
        self, console: Console, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._name, self._clock = console, name, clock
        self._said = clock()
        self._first: Progress | None = None
        self._began = self._said

    def update(self, progress: Progress) -> None:
        """Print a line if the last one was long ago."""
        now = self._clock()
        if self._first is None or self._first.task != progress.task:
            self._first, self._began = progress, now
        if now - self._said < EVERY or not progress.total:
            return
        self._said = now
        note = progress.note or f"{progress.done}/{progress.total} {progress.unit}"
        begin = f"{self._name}: " if self._name else ""
        share = progress.done / progress.total
        self._console.print(
            f"{begin}{progress.task} {share:.0%}, {note}{time_left(self._seconds(progress, now))}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def close(self) -> None:
        """Print nothing."""

    def _seconds(self, progress: Progress, now: float) -> float:
        """Return the time left at the pace since the first report of the task."""
        assert self._first is not None
        done = progress.done - self._first.done
        if done <= 0:
            return 0.0
        return (now - self._began) / done * (progress.total - progress.done)
