"""The number of threads that torch computes with on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MOST = 256
"""More threads than that are started for nobody: a recorded number may come from a stranger."""


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Compute with this many of torch's threads inside the ``with`` statement.

    Args:
        threads: their number, 1 or more.
    """
    before = torch.get_num_threads()
    if threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads != before:
            torch.set_num_threads(before)


def recorded_threads(environment: dict[str, str]) -> int | None:
    """Return how many threads a manifest's environment records; None if none that could be right.

    There may be more than cores: what is computed depends on the number of threads alone.
    """
    count = environment.get("threads", "")
    if not (count.isascii() and count.isdigit() and len(count) < 4):
        return None
    return int(count) if 1 <= int(count) <= MOST else None
