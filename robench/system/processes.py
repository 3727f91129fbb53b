"""The rank of this process among those that ``torchrun`` started for one training run.

    torchrun --nproc-per-node 2 -m robench train batchnorm

Each process trains on its shard of every batch; rank 0 also does everything else.
"""

import os
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """The share of one process, ``rank``, among ``count``."""

    rank: int = 0
    count: int = 1

    def of(self, whole: Tensor) -> Tensor:
        """Return the rows of this process: contiguous, with sizes that differ by at most one."""
        return whole if self.count == 1 else whole.tensor_split(self.count)[self.rank]


def this_shard() -> Shard:
    """Return the shard of this process; the whole if ``torchrun`` did not start it."""
    return Shard(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


def processes_here() -> int:
    """Return the number of processes of this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))
