"""Keeping the machine busy: samples that are finished leave the batch, others take their place."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from robench.base import LogitsModel
from robench.errors import RobenchWarning, UserError
from robench.system.memory import is_out_of_memory


def run_batched(model: LogitsModel, samples: Tensor, advance: Callable[[Tensor], Tensor]) -> None:
    """Advance samples, a batch of them at a time, until each is finished.

    Every call of ``advance`` gets as many samples as a batch holds, however far each of them is,
    for as long as there are enough left. Where memory runs out the batch is halved and the same
    step tried again.

    Args:
        model: its ``batch_size`` is kept to where it has one; else all samples are one batch. Its
            ``report``, where it has one, is called with the number of samples that are finished.
        samples: (N,) int64 on the CPU.
        advance: given some of the samples, (B,) int64, makes one step with each and returns which
            of them have finished, (B,) bool. It must leave everything as it is where it raises.

    Raises:
        UserError: where the memory does not suffice for one sample.
    """
    report = getattr(model, "report", None)
    count = len(samples)
    active, waiting = samples[:0], samples
    while len(active) or len(waiting):
        size = batch_size_of(model, count)
        batch = torch.cat([active, waiting])
        active, waiting = batch[:size], batch[size:]
        try:
            finished = advance(active).cpu()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            halve(model, len(active))
            continue
        active = active[~finished]
        if report is not None and finished.any():
            report(count - len(active) - len(waiting))


def batch_size_of(model: Any, count: int) -> int:
    """Return how many samples ``model`` is to be given at a time; ``count`` if it says nothing."""
    return max(1, min(count, int(getattr(model, "batch_size", count))))


def halve(model: Any, size: int) -> None:
    """Make the batches of ``model`` half of ``size``, and say so.

    Raises:
        UserError: where ``size`` is 1 or the model has no batch size to change.
    """
    if size <= 1 or not hasattr(model, "batch_size"):
        raise UserError(f"out of memory with {size} image(s) at a time; use a smaller network.")
    model.batch_size = size // 2
    told = f"out of memory with {size} images at a time: going on with {size // 2}"
    warnings.warn(told, RobenchWarning, stacklevel=2)
