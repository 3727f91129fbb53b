"""The work on a board: for each cell its columns, then its checks, then its spectra."""

from collections.abc import Callable, Collection, Sequence
from functools import partial

from robench.board.board import Board
from robench.models.complexity import Complexity
from robench.runs.context import RunContext
from robench.runs.executor import Executor
from robench.runs.failures import check_failures, forget_failures, keep_failures
from robench.runs.observer import Observer
from robench.runs.progress import HELD
from robench.runs.records import CellResult, RowResult
from robench.runs.schedule import Job, Schedule
from robench.runs.steps import (
    CellJob,
    Steps,
    accuracies,
    check,
    compute_columns,
    count_costs,
    measure,
)

Key = tuple[str, int]
"""Row and seed of a cell."""


class BoardWork:
    """What is to be done for a board, and what was found.

    Checks begin after all columns have, since their transfer attacks come from the network of the
    baseline row with the same seed; spectra come last. Rows with the same specification have their
    cells in the same folders: one job at a time works on a folder, and the others find its results.

    Args:
        board: the specification.
        cells: its cells, those of a row one after the other.
        ctx: the context of the run.
        observer: gets the result of each cell.
    """

    def __init__(
        self,
        board: Board,
        cells: Sequence[CellJob],
        ctx: RunContext,
        observer: Observer[CellJob, CellResult],
    ) -> None:
        self._board, self._cells, self._ctx, self._observer = board, cells, ctx, observer
        self._left = {job.cell.key: sum(job.left) for job in cells}
        self._busy: set[str] = set()
        self._schedule: Schedule | None = None
        self._costs: dict[str, Complexity] = {}
        self._columns: dict[Key, CellResult] = {}
        self._checked: dict[Key, CellResult] = {}
        self._measured: dict[Key, CellResult] = {}

    def do(self, executor: Executor, *, longest_first: bool) -> None:
        """Do the work.

        Args:
            executor: where the pieces of it are done.
            longest_first: whether the longest cell begins first, and not the first of the board.

        Raises:
            UserError: at the end, if a cell failed; at once, if the first one could not begin.
        """
        order = list(self._cells)
        if longest_first:
            order.sort(key=lambda job: -job.computing)
        firsts = {job.row: job for job in reversed(self._cells)}
        schedule = self._schedule = Schedule(
            [
                *(self._sole_job(job, self._columns_of) for job in order),
                *(Job(job.name, partial(self._costs_of, job)) for job in firsts.values()),
                *(self._sole_job(job, self._check, self._can_check) for job in order),
                *(self._sole_job(job, self._measure, self._can_measure) for job in order),
            ],
            executor,
            longest_first=longest_first,
            timed_first=any(job.timed for job in self._cells),
            held=partial(self._ctx.reporter.announce, state=HELD),
        )
        folders = {job.name: job.folder for job in self._cells}
        forget_failures(folders.values())
        schedule.run()
        keep_failures(schedule.failures, folders)
        failed = {failure.name for failure in schedule.failures}
        check_failures(schedule.failures, self._evaluated(failed))

    def _evaluated(self, failed: Collection[str]) -> list[str]:
        """Return the rows of which every network was attacked and none failed, in order."""
        left = {
            job.row for job in self._cells if job.name in failed or _key(job) not in self._columns
        }
        return [row for row in dict.fromkeys(job.row for job in self._cells) if row not in left]

    def rows(self) -> tuple[RowResult, ...]:
        """Return the finished rows, in the board's order."""
        cells: dict[str, list[CellResult]] = {}
        for job in self._cells:
            cells.setdefault(job.row, []).append(self._measured[_key(job)])
        return tuple(RowResult(row, self._costs[row], tuple(own)) for row, own in cells.items())

    def _sole_job(
        self,
        job: CellJob,
        steps: Callable[[CellJob], Steps],
        ready: Callable[[CellJob], bool] = lambda job: True,
    ) -> Job:
        """Return a job that waits while another one works in its folder.

        The lock of the folder keeps out other processes only.
        """
        key = job.cell.key

        def alone() -> Steps:
            self._busy.add(key)
            try:
                yield from steps(job)
            finally:
                self._busy.discard(key)

        return Job(job.name, alone, lambda: key not in self._busy and ready(job))

    def _columns_of(self, job: CellJob) -> Steps:
        return compute_columns(job, partial(self._row_is_known, job))

    def _row_is_known(self, job: CellJob, result: CellResult, computed: bool) -> None:
        self._columns[_key(job)] = result
        self._left[job.cell.key] = 0.0 if job.is_stored else job.checking
        if computed and not result.diverged and self._schedule is not None:
            seconds = self._schedule.seconds_left(sum(self._left.values()))
            self._ctx.reporter.row(job.name, accuracies(result, self._ctx.attacks), seconds)

    def _costs_of(self, job: CellJob) -> Steps:
        def keep(costs: Complexity) -> None:
            self._costs[job.row] = costs

        return count_costs(job, keep)

    def _source_of(self, job: CellJob) -> Key:
        return self._board.baseline_row, job.cell.seed

    def _can_check(self, job: CellJob) -> bool:
        return {_key(job), self._source_of(job)} <= self._columns.keys()

    def _check(self, job: CellJob) -> Steps:
        own, source = self._columns[_key(job)], self._columns[self._source_of(job)]
        other = None if source is own or source.diverged else source
        return check(job, own, other, partial(self._is_checked, job))

    def _is_checked(self, job: CellJob, result: CellResult) -> None:
        self._checked[_key(job)] = result
        self._left[job.cell.key] = 0.0

    def _can_measure(self, job: CellJob) -> bool:
        return _key(job) in self._checked

    def _measure(self, job: CellJob) -> Steps:
        own = self._checked[_key(job)]
        return measure(job, own, partial(self._is_measured, job))

    def _is_measured(self, job: CellJob, result: CellResult) -> None:
        self._measured[_key(job)] = result
        self._observer.finished(job, result)


def _key(job: CellJob) -> Key:
    return job.row, job.cell.seed
