"""Within an epoch: when the state of a training is written, and what it goes on with from there.

An epoch of a large data set takes hours. What it depends on besides networks and optimizer is how
many minibatches are done, and torch's random state, which dropout and random starts draw from.
"""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from robench.training.meter import Meter

SECONDS = 300.0
"""Time between two states of an epoch; an epoch that is shorter has one at its end only."""

PROBE = 10
"""Minibatches of an epoch after which it is known how long one takes."""


@dataclass(frozen=True, eq=False)
class Partway:
    """Where an epoch was left.

    Attributes:
        batches: the number of its minibatches that are done.
        lr: the learning rate at its beginning.
        seconds: how long they took.
        loss, correct, seen: the sums of the meter, over all processes.
        random: torch's random state, one row per process; they differ where a batch does not divide
            by the processes. Earlier versions kept that of the first process alone.
        random_on_device: that of the devices; None on a CPU.
    """

    batches: int
    lr: float
    seconds: float
    loss: float
    correct: int
    seen: int
    random: Tensor
    random_on_device: Tensor | None

    @classmethod
    def now(
        cls, batches: int, lr: float, seconds: float, meter: Meter, fabric: Fabric
    ) -> "Partway":
        """Return the present state; all processes call this at the same time."""
        random, on_device = _of_all(torch.get_rng_state(), fabric), None
        if fabric.device.type == "cuda":
            on_device = _of_all(torch.cuda.get_rng_state(fabric.device), fabric)
        return cls(batches, lr, seconds, *meter.sums(fabric), random, on_device)

    @classmethod
    def of(cls, state: Any) -> "Partway":
        """Return what :meth:`state` gave.

        Raises:
            TypeError: if it is something else.
        """
        known = cls(**state)
        if not (isinstance(known.random, Tensor) and isinstance(known.batches, int)):
            raise TypeError("where its epoch was left is not known")
        return known

    def state(self) -> dict[str, Any]:
        """Return what is written into the training's state."""
        return asdict(self)

    def restore(self, meter: Meter, fabric: Fabric) -> None:
        """Give torch its random state back, and the meter its sums, in one of the processes.

        If there is another number of processes now, all of them go on with the state of the first:
        their weights are those of that other number only up to rounding, anyway.
        """
        torch.set_rng_state(_own(self.random, fabric))
        if self.random_on_device is not None and fabric.device.type == "cuda":
            torch.cuda.set_rng_state(_own(self.random_on_device, fabric), fabric.device)
        if fabric.is_global_zero:
            meter.add_sums(self.loss, self.correct, self.seen)


def _of_all(state: Tensor, fabric: Fabric) -> Tensor:
    """Return the random states of all processes, one row each in order of rank."""
    if fabric.world_size == 1:
        return state[None]
    states = fabric.all_gather(state.to(fabric.device))
    assert isinstance(states, Tensor)
    return states.cpu()


def _own(states: Tensor, fabric: Fabric) -> Tensor:
    """Return the random state with which this process goes on."""
    rows = torch.atleast_2d(states.cpu())
    return rows[fabric.global_rank if len(rows) == fabric.world_size else 0].clone()


class Pace:
    """Says after which minibatches of an epoch the state is written: the same in all processes."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric

    def begin(self, done: int) -> None:
        """Begin an epoch of which so many minibatches are done."""
        self._done, self._every = done, 0
        self._start = self._written = time.perf_counter()

    def is_due(self, count: int) -> bool:
        """Return whether to write the state after the minibatch with this number, from 1."""
        made = count - self._done
        if made < PROBE:
            return self._is_late()
        if made == PROBE:
            seconds = max(time.perf_counter() - self._start, 1e-6) / PROBE
            self._every = self._fabric.broadcast(max(1, math.ceil(SECONDS / seconds)))
        return made % self._every == 0

    def _is_late(self) -> bool:
        """Return whether the last state is too old by the clock of rank 0, and begin anew if so."""
        now = time.perf_counter()
        late: bool = self._fabric.broadcast(now - self._written >= SECONDS)
        if late:
            self._written = now
        return late
