"""The number of threads that torch computes with on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MOST = 256
"""More threads than that are started for nobody: the number may come from a stranger's file."""


@contextmanager
def threads(count: str | None) -> Iterator[None]:
    """Compute with so many threads within the block.

    Training sums gradients thread by thread, so that another number gives other weights.

    Args:
        count: the number as an environment records it; the number stays as it is if there is none,
            or none that could be right.
    """
    before = torch.get_num_threads()
    wanted = int(count) if count and count.isascii() and count.isdigit() and len(count) < 4 else 0
    if 0 < wanted <= MOST:
        torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)
