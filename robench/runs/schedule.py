"""The driver of a run: which piece is next, what follows from its result, what failed.

Jobs (a cell's columns, its checks, its spectra) begin in the order of their list, and one that has
begun is finished before another begins: so the first row of a table is known early. Where several
pieces run at once, the largest of a job comes first, so that no long one is left alone at the end.
A piece that is timed runs alone: it waits until no other runs, and none begins before it ends. On a
board whose trainings are timed, all of them come first, so that the rest can run side by side.
A cell that another run is at work on is left to it, and looked at again until it is free.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from robench.errors import UserError
from robench.runs.executor import Ended, Executor
from robench.runs.failures import Failure
from robench.runs.steps import Steps, Task
from robench.system.locks import HeldError

PAUSE = 2.0
"""Seconds between two looks at a cell that another run is at work on."""


@dataclass(eq=False)
class Job:
    """Steps of work on one cell, and how far they are.

    Attributes:
        name: the cell, as progress reports call it.
        begin: returns the steps.
        ready: returns whether what it depends on is done; it may never be.
        tasks: those of the present step that have not begun.
        running: the number of its pieces that have begun and not ended.
        finished: the effort of its pieces that have ended.
        again: when to look again whether another run has left it.
    """

    name: str
    begin: Callable[[], Steps]
    ready: Callable[[], bool] = lambda: True
    tasks: list[Task] = field(default_factory=list)
    running: int = 0
    finished: float = 0.0
    steps: Steps | None = None
    over: bool = False
    again: float = -math.inf

    @property
    def can_begin(self) -> bool:
        """Whether it has not begun, and may."""
        return self.steps is None and not self.over and self.ready()

    @property
    def is_held(self) -> bool:
        """Whether another run was at work on it, and it waits for that."""
        return self.again > -math.inf and self.can_begin

    def advance(self) -> None:
        """Take the next step if all pieces of the present one have ended.

        Raises:
            HeldError: if another run is at work on it; it has not begun then.
            UserError: if what is between two steps fails.
        """
        while not (self.over or self.running or self.tasks):
            if self.steps is None:
                self.steps = self.begin()
            step = next(self.steps, None)
            if step is None:
                self.over = True
            else:
                self.tasks = step

    def stop(self) -> None:
        """Give up what has not begun; the lock of the cell stays until its last piece has ended."""
        self.over = True
        self.tasks = []

    def release(self) -> None:
        """Give the lock of the cell back if none of its pieces runs."""
        if self.steps is not None and not self.running:
            self.steps.close()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Begun:
    """A piece that runs, its job, and since when."""

    job: Job
    task: Task
    since: float


class Schedule:
    """The jobs of a run; :meth:`run` does them.

    Args:
        jobs: in the order in which they are to begin.
        executor: where their pieces are done; it is left when the jobs are over.
        longest_first: whether the largest piece of a step begins first.
        timed_first: whether pieces that run alone come before all others.
        held: called with the name of a job that waits, since another run is at work on its cell.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        executor: Executor,
        *,
        longest_first: bool = False,
        timed_first: bool = False,
        held: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.failures: list[Failure] = []
        self.done = 0.0
        self._jobs = list(jobs)
        # Those that are not over, in order: with ten thousand cells, most of them are soon.
        self._open = {id(job): job for job in jobs}
        self._over: list[Job] = []
        self._waiting: dict[int, Job] = {}
        self._executor = executor
        self._longest_first = longest_first
        self._timed_first = timed_first
        self._running: dict[int, _Begun] = {}
        self._busy = 0.0  # seconds of all pieces that have ended
        self._held = held
        self._began = False
        self._start = time.monotonic()

    def run(self) -> None:
        """Do all jobs, once; what fails is in :attr:`failures`, and stops nothing else.

        Raises:
            UserError: if the first job cannot even begin.
        """
        try:
            with self._executor:
                self._loop()
        finally:  # not before nothing runs any longer
            for job in self._jobs:
                job.running = 0
                job.release()

    def _loop(self) -> None:
        while True:
            for job, task in self._next_tasks():
                job.tasks.remove(task)
                job.running += 1
                self._running[id(task.piece)] = _Begun(job, task, time.monotonic())
                self._began = True
                self._executor.submit(task.piece)
            for job in self._over:
                self._open.pop(id(job), None)
            self._over = []
            waits = any(job.is_held for job in self._waiting.values())
            if self._running:
                for ended in self._executor.wait(PAUSE if waits else None):
                    self._settle(ended)
            elif waits:
                time.sleep(PAUSE)
            else:
                return

    def seconds_left(self, remaining: float) -> float:
        """Return roughly how long work takes that is as fast as what was done; nan if unknown.

        Args:
            remaining: the effort of the work, with all of the jobs that have begun and not ended.
        """
        if not self.done:
            return math.nan
        now = time.monotonic()
        pace = self._busy / self.done  # seconds of one piece per effort
        running = self._running.values()
        at_work = {id(each.job): each.job for each in running}
        begun = sum(job.finished for job in at_work.values())
        begun += sum(min((now - each.since) / pace, each.task.piece.effort) for each in running)
        busy = self._busy + sum(now - each.since for each in running)
        side_by_side = busy / (now - self._start)
        return max(remaining - begun, 0.0) * pace / side_by_side

    def _next_tasks(self) -> Iterator[tuple[Job, Task]]:
        """Yield what is to begin now, until the executor takes no more."""
        if self._timed_first:
            for job in self._jobs_to_look_at():
                timed = next((task for task in job.tasks if task.piece.alone), None)
                if timed is not None:
                    if not self._running:
                        yield job, timed
                    return
        for job in self._jobs_to_look_at():
            for task in self._in_order(job.tasks):
                if self._one_runs_alone or (task.piece.alone and self._running):
                    return  # what comes later does not overtake it
                if self._executor.takes(task.piece):
                    yield job, task

    def _jobs_to_look_at(self) -> Iterator[Job]:
        """Yield the jobs that are not over, and let them begin, until the executor is busy."""
        for job in self._open.values():
            if not self._executor.free or self._one_runs_alone:
                return
            if job.can_begin and time.monotonic() >= job.again:
                self._advance(job)
            yield job

    @property
    def _one_runs_alone(self) -> bool:
        return any(each.task.piece.alone for each in self._running.values())

    def _in_order(self, tasks: Sequence[Task]) -> list[Task]:
        if not self._longest_first:
            return list(tasks)
        return sorted(tasks, key=lambda task: -task.piece.effort)

    def _advance(self, job: Job) -> None:
        begins = job.steps is None
        try:
            job.advance()
        except HeldError as error:
            if not begins:
                self._fail(job, error)
                return
            if job.again == -math.inf:
                self._held(job.name)
            job.steps, job.again = None, time.monotonic() + PAUSE
            self._waiting[id(job)] = job
        except Exception as error:
            if not self._began:
                raise
            self._fail(job, error)
        else:
            if job.over and not job.running:
                self._over.append(job)

    def _settle(self, ended: Ended) -> None:
        begun = self._running.pop(id(ended.piece))
        job = begun.job
        job.running -= 1
        self._busy += time.monotonic() - begun.since
        error = ended.error
        if error is None:
            try:
                begun.task.done(ended.value)
                self.done += ended.piece.effort
                job.finished += ended.piece.effort
            except UserError as own:
                error = own
        if error is not None:
            self._fail(job, error)
        else:
            self._advance(job)
        if job.over:
            job.release()

    def _fail(self, job: Job, error: Exception) -> None:
        job.stop()
        job.release()
        self.failures.append(Failure(job.name, error))
        if not job.running:
            self._over.append(job)
