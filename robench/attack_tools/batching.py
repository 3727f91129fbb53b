"""Continuous batching: finished samples leave the batch, and waiting ones take their places."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.victims import as_victim
from robench.base import LogitsModel, VictimModel
from robench.errors import RobenchWarning, UserError
from robench.system.interrupts import postponed_interrupts
from robench.system.out_of_memory import is_out_of_memory


def run_batched(
    model: LogitsModel,
    samples: Tensor,
    advance: Callable[[Tensor], Tensor],
    search: KeptSearch | None = None,
    *,
    reports: bool = True,
) -> None:
    """Advance samples in batches until all of them are finished.

    Every call of ``advance`` gets a full batch, however far each of its samples has come, for as
    long as enough samples are left. If memory runs out, the batch size is halved and the same step
    is repeated.

    Args:
        model: its ``batch_size`` limits the batches; a bare callable gets all samples as one batch.
            Its ``report`` is called with the number of samples that are finished.
        samples: indices of the samples, (N,) int64 on the CPU.
        advance: takes some of the samples, (B,) int64, advances each by one step, and returns
            which of them have finished, (B,) bool. If it raises, it must have changed nothing.
        search: the state that ``advance`` reads and changes, to be kept from time to time; one
            that was kept before goes on with the samples that were left.
        reports: whether finished samples are progress of the attack; not if more is to be done
            with them.

    Raises:
        UserError: if memory does not suffice for a single sample.
    """
    victim = as_victim(model)
    count = len(samples)
    active, waiting = samples[:0], samples
    kept = search.take_lists() if search else None
    if kept is not None:
        active, waiting = kept
        victim.report(count - len(active) - len(waiting))
    with postponed_interrupts(search is not None and search.is_kept) as interrupts:
        while len(active) or len(waiting):
            size = batch_size_of(victim, count)
            batch = torch.cat([active, waiting])
            active, waiting = batch[:size], batch[size:]
            counts = victim.counts()
            try:
                finished = advance(active).cpu()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                victim.recount(counts)
                halve(victim, len(active))
                continue
            active = active[~finished]
            if search is not None:  # only between two steps is the state that of a step
                search.keep_if_due(active, waiting, now=interrupts.pending)
            interrupts.deliver()
            if reports and finished.any():
                victim.report(count - len(active) - len(waiting))


def batch_size_of(model: VictimModel, count: int) -> int:
    """Return how many of ``count`` samples to pass to a model at a time."""
    return max(1, count if model.batch_size is None else min(count, model.batch_size))


def halve(model: VictimModel, size: int) -> None:
    """Set the batch size of ``model`` to half of ``size``, with a warning.

    Raises:
        UserError: if ``size`` is 1 or the model has no batch size to change.
    """
    if size <= 1 or model.batch_size is None:
        raise UserError(f"out of memory with {size} image(s) at a time; use a smaller network.")
    model.batch_size = size // 2
    message = f"out of memory with {size} images at a time: continuing with {size // 2}"
    warnings.warn(message, RobenchWarning, stacklevel=2)
