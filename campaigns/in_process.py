"""The command line in this process: a trial takes milliseconds instead of seconds."""

import io
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from types import FrameType
from unittest import mock

from robench.cli import main

LIMIT = 120
"""Seconds after which a command counts as hanging."""


class HangsError(Exception):
    """A command took longer than its limit."""


class _Expired(BaseException):
    """The time is over: no handler of errors in the command may take it for one of its own."""


@dataclass(frozen=True)
class Finished:
    """What a command left.

    Attributes:
        code: its exit code; None if it ended in a traceback or hung.
        text: what it printed, or the traceback.
    """

    code: int | None
    text: str

    @property
    def first(self) -> str:
        """The line that says most: the first finding, or the last line of a traceback."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        if self.code is None:
            return lines[-1] if lines else ""
        return next((line for line in lines if line.startswith(("wrong", "robench:"))), "")


def robench(*arguments: object, limit: int = LIMIT) -> Finished:
    """Run a command, such as ``robench("verify", folder)``.

    Args:
        arguments: what follows ``robench`` on the command line.
        limit: seconds after which it counts as hanging.
    """
    printed = io.StringIO()
    words = ["robench", *map(str, arguments)]
    try:
        with (
            redirect_stdout(printed),
            redirect_stderr(printed),
            mock.patch.object(sys, "argv", words),
            time_limit(limit),
        ):
            main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception:
        return Finished(None, traceback.format_exc())
    return Finished(code, printed.getvalue())


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise :class:`HangsError` in the block after so many seconds; only in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Expired

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    except _Expired:
        raise HangsError(f"it took more than {seconds} s") from None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
