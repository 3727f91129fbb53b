"""An error of one of several processes is one of all: the others would wait for it for ever."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from robench.errors import UserError
from robench.system.processes import Shard
from robench.training.parallel import total


@contextmanager
def shared_errors(fabric: Fabric, shard: Shard) -> Iterator[None]:
    """Raise a UserError of the block in all processes, which enter and leave it together.

    If several have one, it is that of the first. Nothing in the block may wait for another process.

    Args:
        fabric: the connection with the other processes.
        shard: the rank of this process among all.

    Raises:
        UserError: if one process has met one; if that is not rank 0, it says which.
    """
    said = ""
    try:
        yield
    except UserError as error:
        if shard.count == 1:
            raise
        said = f"process {shard.rank}: {error}" if shard.rank else str(error)
    if shard.count == 1:
        return
    met = torch.zeros(shard.count, dtype=torch.int64, device=fabric.device)
    met[shard.rank] = bool(said)
    failed = total(fabric, met).nonzero().flatten().tolist()
    if failed:
        raise UserError(fabric.broadcast(said, src=failed[0]))
