"""Simulate a driver with very many cells on very many GPUs, some of whose machines are lost.

The driver's code is the real one (:mod:`robench.runs.schedule`), and its seconds are measured. What
it drives is simulated: pieces take as long as drawn, in a clock that is not ours, and one that is
lost is handed out again and goes on from its last epoch, as robench.runs.remote does.

    python benchmarks/scale.py
    python benchmarks/scale.py --quick
"""

import heapq
import itertools
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import machine, options, timed

from robench.runs.executor import Ended
from robench.runs.pieces import Piece
from robench.runs.schedule import Job, Schedule
from robench.runs.steps import Steps, Task
from robench.system.locks import sole_writer

TRAINING, ATTACKS = 3600.0, (600.0, 900.0, 2400.0, 300.0)
"""Seconds of a training, of a cell's attacks, and of its checks; each varies by a third."""

EPOCHS = 30
"""Parts of a piece that are not lost with it."""

NOTICED = 60.0
"""Seconds until an engine has noticed that a machine is gone, and the piece is out again."""


@dataclass(frozen=True)
class Rest:
    """The work of a simulated piece."""

    seconds: float

    def perform(self, ctx: Any) -> None:
        """Do nothing."""


class Simulated:
    """An executor whose pieces end in simulated time.

    Args:
        slots: the number of GPUs.
        hours: the mean time between two losses of one of them.
        seed: of the losses.
    """

    def __init__(self, slots: int, hours: float, seed: int) -> None:
        self.slots, self.hours = slots, hours
        self.now = self.busy = 0.0
        self.lost = self.pieces = 0
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Piece]] = []
        self._number = itertools.count()

    @property
    def free(self) -> bool:
        """Whether a GPU is free."""
        return len(self._events) < self.slots

    def takes(self, piece: Piece) -> bool:
        """Return whether a GPU is free."""
        return self.free

    def submit(self, piece: Piece) -> None:
        """Draw how long it takes until a piece has ended, with all that is lost meanwhile."""
        work = piece.work
        assert isinstance(work, Rest)
        left, spent = work.seconds, 0.0
        while (until := self._random.expovariate(1 / (self.hours * 3600))) < left:
            self.lost += 1
            kept = until - until % (work.seconds / EPOCHS)
            left, spent = left - kept, spent + until + NOTICED
        spent += left
        self.busy += spent
        self.pieces += 1
        heapq.heappush(self._events, (self.now + spent, next(self._number), piece))

    def wait(self, seconds: float | None = None) -> Sequence[Ended]:
        """Go to the next end of a piece."""
        self.now, _, piece = heapq.heappop(self._events)
        return [Ended(piece)]

    def __enter__(self) -> "Simulated":
        """Return it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""


def steps(name: str, draw: random.Random) -> Steps:
    """Yield a cell's training, then its attacks and checks at once."""

    def piece(seconds: float) -> Task:
        length = seconds * draw.uniform(2 / 3, 4 / 3)
        return Task(Piece(name, "working", Rest(length), 1, length), lambda value: None)

    yield [piece(TRAINING)]
    yield [piece(seconds) for seconds in ATTACKS]


def drive(cells: int, gpus: int, hours: float) -> None:
    """Print how long the cells take, and the driver."""
    draw = random.Random(0)
    names = [f"defense {number // 20}, seed {number % 20}" for number in range(cells)]
    jobs = [Job(name, lambda name=name: steps(name, draw)) for name in names]  # type: ignore[misc]
    executor = Simulated(gpus, hours, seed=1)
    seconds = timed(Schedule(jobs, executor, longest_first=True).run)
    work = sum((TRAINING, *ATTACKS)) * cells / gpus / 3600
    busy, each = executor.busy / gpus / executor.now, seconds / executor.pieces * 1e3
    print(
        f"{cells:6} cells, {gpus:4} GPUs, one loss of each in {hours:5.0f} h: {executor.pieces} "
        f"pieces, {executor.lost} lost; {executor.now / 3600:.1f} h, of which {work:.1f} h are "
        f"work ({busy:.1%} busy); the driver took {seconds:.1f} s of it, {each:.2f} ms a piece",
        flush=True,
    )


def locks(cells: int) -> None:
    """Print what it costs to lock a cell, on this machine's disk."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / f"{number:016x}" for number in range(cells)]
        start = time.perf_counter()
        for folder in folders:
            with sole_writer(folder, "is at work in"):
                pass
        seconds = time.perf_counter() - start
    print(f"a cell is locked and given back in {seconds / cells * 1e3:.2f} ms (local disk)")


def main() -> None:
    arguments = options(
        str(__doc__).split("\n", 1)[0], cells=10_000, gpus=500, hours=100
    ).parse_args()
    cells = 1_000 if arguments.quick else arguments.cells
    drive(cells // 10, arguments.gpus, arguments.hours)
    drive(cells, arguments.gpus, arguments.hours)
    drive(cells, arguments.gpus, 10.0)
    locks(500)
    print(machine())


if __name__ == "__main__":
    main()
