"""How many threads torch computes with on the CPU: a rule, so that results obey no option.

Sums that are split among threads round differently: with one thread and with two, training gives
other weights. The number of threads must therefore not depend on how many cells are computed side
by side, nor on whether a cell is computed by ``run``, ``train`` or ``reproduce``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MOST = 256
"""More threads than that are started for nobody: a recorded number may come from a stranger."""

NARROW = 100_000_000
"""Multiply-adds of one forward up to which a network is narrow. A ResNet-18 of width 16 on 32x32
images has 35 million; width 32 has 140 million."""


def threads_for(multiply_adds: int, device: torch.device) -> int:
    """Return with how many threads the cells of a network are trained and attacked.

    A narrow network is computed with one thread: more of them wait for one another longer than
    they compute, and cells side by side use the cores better. Others, and everything on a GPU, get
    what torch is set to: the number of cores, or ``OMP_NUM_THREADS``.

    Args:
        multiply_adds: those of the forward of one image.
        device: the device that it is computed on.
    """
    if device.type == "cpu" and multiply_adds <= NARROW:
        return 1
    return torch.get_num_threads()


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
