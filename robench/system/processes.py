"""The processes of one training, where ``torchrun`` started several: which one this is.

    torchrun --nproc-per-node 2 -m robench train batchnorm

Each process trains on its part of every batch; the first one also does everything else.
"""

import os
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """One process among ``count``."""

    rank: int = 0
    count: int = 1

    def of(self, whole: Tensor) -> Tensor:
        """Return the rows of this process: parts follow one another and differ by one at most."""
        return whole if self.count == 1 else whole.tensor_split(self.count)[self.rank]


def this_shard() -> Shard:
    """Return which of ``torchrun``'s processes this is; the only one where it started none."""
    return Shard(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


def processes_here() -> int:
    """Return how many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))
