"""A campaign that takes too long can be ended: SIGTERM lets it report the trials it has done."""

import signal
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

Work = TypeVar("Work")


def until_stopped(trials: Iterable[Work]) -> Iterator[Work]:
    """Yield the trials; after a SIGTERM (``kill PID``) none follows the one that is being done.

    Args:
        trials: numbers of trials, or what they are.
    """
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        for trial in trials:
            yield trial
            if stopped:
                return
    finally:
        signal.signal(signal.SIGTERM, before)
