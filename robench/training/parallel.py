"""Data-parallel training: each process takes a shard of every batch, as in one joint training."""

import atexit
import gc
import warnings
from datetime import timedelta
from inspect import signature
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from robench.errors import UserError
from robench.system.processes import Shard, processes_here, this_shard

PRECISION: dict[str, Any] = {"float32": "32-true", "bf16": "bf16-mixed"}

_OPTIONS = signature(DistributedDataParallel).parameters
_COPY_BUFFERS = next(n for n in ("forward_sync_buffers", "broadcast_buffers") if n in _OPTIONS)
"""The option that copies buffers before each forward; newer torch warns of the older name."""

_LONGEST_WAIT = timedelta(days=30)
"""The other processes wait while rank 0 attacks the networks that they trained together."""


def launch(device: torch.device, precision: str) -> Fabric:
    """Return a Fabric, which places networks and takes steps, connected to the other processes.

    Args:
        device: the device to train on; each of several processes takes its own of that type.
        precision: ``float32`` or ``bf16``.
    """
    count = this_shard().count
    if count == 1:
        devices = 1 if device.index is None else [device.index]
        return Fabric(accelerator=device.type, devices=devices, precision=PRECISION[precision])
    # Buffers depend on weights and synchronized statistics: they are the same everywhere.
    options: dict[str, Any] = {"timeout": _LONGEST_WAIT, _COPY_BUFFERS: False}
    strategy = DDPStrategy(**options)
    fabric = Fabric(
        accelerator=device.type,
        strategy=strategy,
        devices=processes_here(),
        num_nodes=count // processes_here(),
        precision=PRECISION[precision],
    )
    # Only a note on speed: in channels_last, gradients of one-pixel kernels are copied.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    fabric.launch()
    atexit.unregister(disconnect)  # one call at exit, however many trainings there were
    atexit.register(disconnect)
    return fabric


def disconnect() -> None:
    """Leave the group of processes, if this process is in one.

    A process that ends while torch's threads still serve the group is aborted now and then
    (``terminate called without an active exception``), after all of its work is done. The threads
    end with the last reference to the group, and networks that were trained together refer to it
    in cycles.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
        gc.collect()


def total(fabric: Fabric, value: Tensor) -> Tensor:
    """Return the sum over all processes of a value that each has."""
    summed = fabric.all_reduce(value.clone(), reduce_op="sum")  # which works in place
    assert isinstance(summed, Tensor)
    return summed


def gather(fabric: Fabric, rows: Tensor, shard: Shard) -> Tensor:
    """Return the rows of all processes in order of rank; their counts may differ by one."""
    if shard.count == 1:
        return rows
    sizes = torch.zeros(shard.count, dtype=torch.int64, device=rows.device)
    sizes[shard.rank] = len(rows)
    counts = total(fabric, sizes).tolist()
    padded = F.pad(rows, [0, 0] * (rows.ndim - 1) + [0, max(counts) - len(rows)])
    parts = fabric.all_gather(padded.contiguous())
    assert isinstance(parts, Tensor)
    return torch.cat([each[:size] for each, size in zip(parts, counts, strict=True)])


def part_of(carried: Tensor | None, whole: int, shard: Shard) -> Tensor | None:
    """Return this process's part of what the last minibatch carried over; None if nothing.

    Args:
        carried: one row per image of the last whole minibatch, of all processes.
        whole: the number of images of the minibatch in all processes; a short last one takes the
            first rows.
        shard: the rank of this process among all.
    """
    return None if carried is None else shard.of(carried[:whole])


def whole_batch(images: int, batch_size: int, index: int) -> int:
    """Return the size of a batch in all processes together; ``index`` counts from 0."""
    return min(batch_size, images - index * batch_size)


def check_shards(images: int, batch_size: int, batches: int, shard: Shard) -> None:
    """Refuse to train on no batch at all, and batches that leave a process without an image.

    Raises:
        UserError: if there is no batch, or the smallest one has fewer images than there are
            processes.
    """
    if batches == 0:
        raise UserError(
            f"{images} training image(s) make no batch, since a batch needs two; use more images, "
            f"a larger subset or a smaller validation part."
        )
    smallest = whole_batch(images, batch_size, batches - 1)
    if smallest < shard.count:
        raise UserError(
            f"the last of the batches has {smallest} image(s) for {shard.count} processes; "
            f"change training.batch_size, which is {batch_size}."
        )
