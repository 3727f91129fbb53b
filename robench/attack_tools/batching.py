"""Keeping the machine busy: samples that are finished leave the batch, others take their place."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from robench.attack_tools.victims import as_victim
from robench.base import LogitsModel, VictimModel
from robench.errors import RobenchWarning, UserError
from robench.system.memory import is_out_of_memory


def run_batched(model: LogitsModel, samples: Tensor, advance: Callable[[Tensor], Tensor]) -> None:
    """Advance samples, a batch of them at a time, until each is finished.

    Every call of ``advance`` gets as many samples as a batch holds, however far each of them is,
    for as long as there are enough left. Where memory runs out the batch is halved and the same
    step tried again.

    Args:
        model: its ``batch_size`` is kept to; a bare callable gets all samples as one batch. Its
            ``report`` is called with the number of samples that are finished.
        samples: (N,) int64 on the CPU.
        advance: given some of the samples, (B,) int64, makes one step with each and returns which
            of them have finished, (B,) bool. It must leave everything as it is where it raises.

    Raises:
        UserError: where the memory does not suffice for one sample.
    """
    victim = as_victim(model)
    count = len(samples)
    active, waiting = samples[:0], samples
    while len(active) or len(waiting):
        size = batch_size_of(victim, count)
        batch = torch.cat([active, waiting])
        active, waiting = batch[:size], batch[size:]
        try:
            finished = advance(active).cpu()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            halve(victim, len(active))
            continue
        active = active[~finished]
        if finished.any():
            victim.report(count - len(active) - len(waiting))


def batch_size_of(model: VictimModel, count: int) -> int:
    """Return how many of ``count`` samples a model is to be given at a time."""
    return max(1, count if model.batch_size is None else min(count, model.batch_size))


def halve(model: VictimModel, size: int) -> None:
    """Make the batches of ``model`` half of ``size``, and say so.

    Raises:
        UserError: where ``size`` is 1 or the model has no batch size to change.
    """
    if size <= 1 or model.batch_size is None:
        raise UserError(f"out of memory with {size} image(s) at a time; use a smaller network.")
    model.batch_size = size // 2
    told = f"out of memory with {size} images at a time: going on with {size // 2}"
    warnings.warn(told, RobenchWarning, stacklevel=2)
