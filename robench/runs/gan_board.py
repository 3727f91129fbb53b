"""Run a board of GANs: train what is not trained, measure what is not measured."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch

from robench.board.specs import EvaluationSpec
from robench.errors import UserError
from robench.gan.board import GanBoard, ProtocolSpec
from robench.gan.cell import multiply_adds_of, threads_of
from robench.gan.folder import GanFolder, GanManifest, read_divergence, read_manifest
from robench.gan.measured import Measured, metrics_file, read_measured
from robench.gan.spec import GanCell
from robench.runs.context import RunContext
from robench.runs.executor import Executor, InThisProcess
from robench.runs.executors import executor_for
from robench.runs.failures import check_failures
from robench.runs.gan_pieces import GanMeasuring, GanTraining
from robench.runs.gan_plan import STORE, GanPlan, GanWork, check_fits, plan_gans
from robench.runs.observer import Observer
from robench.runs.pieces import Piece, Work
from robench.runs.placement import Placement
from robench.runs.progress import HELD, NullReporter, ProgressReporter
from robench.runs.schedule import Job, Schedule
from robench.runs.steps import Steps, Task, nothing
from robench.runs.store import RunStore
from robench.system.files import remove
from robench.system.threads import threads_for


@dataclass(frozen=True)
class GanResult:
    """A GAN that is done.

    Attributes:
        work: the GAN.
        manifest: its provenance; None if training diverged.
        diverged: why training diverged; else empty.
        diverged_version: the code that it diverged with; else empty.
        measured: the metrics of its generator, then of those that were kept on the way.
        protocols: those of the board.
    """

    work: GanWork
    manifest: GanManifest | None
    diverged: str
    diverged_version: str
    measured: tuple[Measured, ...]
    protocols: tuple[ProtocolSpec, ...]

    @property
    def figures(self) -> dict[int, dict[str, float]]:
        """Step -> column -> figure; the last step has those of all protocols."""
        found: dict[int, dict[str, float]] = {}
        for number, each in enumerate(self.measured):
            protocol = self.protocols[number if number < len(self.protocols) else 0]
            columns = {protocol.column(name): value for name, value in each.metrics.items()}
            found.setdefault(each.measurement.step, {}).update(columns)
        return found


@dataclass(frozen=True)
class GanBoardResult:
    """A finished board of GANs.

    Attributes:
        board: the specification.
        dataset: the name of the data set in tables, never a path.
        extractor: what distances are called after.
        results: its GANs, by row and seed.
    """

    board: GanBoard
    dataset: str
    extractor: str
    results: tuple[GanResult, ...]


@dataclass(frozen=True, eq=False)
class GanJob:
    """A GAN to train and measure, once for all rows that it belongs to.

    Attributes:
        works: the GAN as each of its rows has it.
        plan: the board.
        ctx: the context of the run.
        measuring_threads: the number of threads that its measurements are computed with.
    """

    works: tuple[GanWork, ...]
    plan: GanPlan
    ctx: RunContext
    measuring_threads: int

    @property
    def cell(self) -> GanCell:
        """Its specification."""
        return self.works[0].cell

    @property
    def folder(self) -> GanFolder:
        """Its folder in the store."""
        return self.works[0].folder

    @property
    def name(self) -> str:
        """What progress reports call it."""
        return self.works[0].name

    @cached_property
    def threads(self) -> int:
        """The number of threads that it is trained with."""
        return threads_of(self.cell, self.ctx.device)

    @property
    def is_stored(self) -> bool:
        """Whether nothing is left to compute of it; what is damaged is left to the run to name."""
        with suppress(UserError):
            return all(self.plan.is_done(work) for work in self.works)
        return False

    @property
    def is_finished(self) -> bool:
        """The same: its measurements take long, too."""
        return self.is_stored

    @property
    def effort(self) -> float:
        """Roughly the work of its training, to compare it with others."""
        gan = self.cell.gan
        return float(multiply_adds_of(self.cell) * gan.forwards * gan.batch_size)

    def piece(self, state: str, work: Work, threads: int) -> Piece:
        """Return a piece of the work on it."""
        return Piece(self.name, state, work, threads, self.effort)


# More parameters than usual: they are the settings of one run.
def run_gan_board(
    board: GanBoard,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    inception: Path | None = None,
    reporter: ProgressReporter | None = None,
    placement: Placement = Placement(),  # noqa: B008 - it is frozen
    observer: Observer[GanWork, GanResult] | None = None,
) -> GanBoardResult:
    """Train and measure the GANs of a board; what is stored in ``out`` is not computed again.

    Weights and metrics are the same to the bit wherever they are computed.

    Args:
        board: the specification.
        out: the folder of the run store.
        data_dir: the folder where the data set is or is downloaded to.
        device: the device to run on; the CPU by default.
        inception: the file of Inception's weights, if the board needs them.
        reporter: called with the progress of the run.
        placement: where the pieces of work are done; by default here, one after the other.
        observer: follows the GANs.

    Raises:
        UserError: if the board does not fit the data, before any work is done; or results cannot
            be written. If a GAN fails, the others are finished first.
    """
    plan = plan_gans(board, out, data_dir, inception)
    check_fits(plan)
    ctx = gan_context(plan, out, device, reporter)
    jobs = gan_jobs(plan, ctx)
    results: dict[str, GanResult] = {}

    def keep(result: GanResult) -> None:
        results[result.work.name] = result
        if observer is not None:
            observer.finished(result.work, result)

    if observer is not None:
        observer.begin(plan.work)
    executor = executor_for(placement, board.data.name, data_dir, jobs, ctx)
    schedule = Schedule(
        [Job(job.name, partial(finish_gan, job, keep)) for job in _in_order(jobs, executor)],
        executor,
        held=partial(ctx.reporter.announce, state=HELD),
    )
    schedule.run()
    check_failures(schedule.failures)
    found = tuple(results[work.name] for work in plan.work)
    return GanBoardResult(board, plan.work[0].cell.data, plan.features.name, found)


def gan_context(
    plan: GanPlan, out: Path, device: torch.device | None, reporter: ProgressReporter | None = None
) -> RunContext:
    """Return the context of a run of a board of GANs, which attacks nothing."""
    return RunContext(
        store=RunStore(out / STORE),
        dataset=plan.dataset,
        evaluation=EvaluationSpec(),
        device=device or torch.device("cpu"),
        reporter=reporter or NullReporter(),
    )


def gan_jobs(plan: GanPlan, ctx: RunContext) -> list[GanJob]:
    """Return the GANs of a board, each once, in the order of the board.

    Raises:
        UserError: if something is to be measured, and a package or weights for it are missing.
    """
    rows: dict[str, list[GanWork]] = {}
    for work in plan.work:
        rows.setdefault(work.cell.key, []).append(work)
    jobs = [GanJob(tuple(works), plan, ctx, 1) for works in rows.values()]
    if all(job.is_stored for job in jobs):
        return jobs
    network = plan.features.load(torch.device("cpu"))
    threads = threads_for(network.multiply_adds, ctx.device)
    return [replace(job, measuring_threads=threads) for job in jobs]


def _in_order(jobs: Sequence[GanJob], executor: Executor) -> list[GanJob]:
    """Return the jobs as they begin: where several run at once, the longest first."""
    if isinstance(executor, InThisProcess):
        return list(jobs)
    return sorted(jobs, key=lambda job: -job.effort)


def finish_gan(job: GanJob, done: Callable[[GanResult], None]) -> Steps:
    """Train a GAN unless it is trained, and measure what is not measured.

    Args:
        job: the GAN.
        done: called with its result for each of its rows.

    Raises:
        UserError: if the store cannot be written, what is stored is damaged, or another process is
            working on the GAN.
    """
    ctx, folder = job.ctx, job.folder
    with ctx.store.lock(folder):
        if not folder.finished:
            ctx.reporter.announce(job.name, "training")
            yield [Task(job.piece("training", GanTraining(job.cell), job.threads), nothing)]
        remove(folder.checkpoint)  # one that was stopped at its very end has left it
        if not job.is_stored:
            ctx.reporter.announce(job.name, "measuring")
            rows = tuple(work.row for work in job.works)
            work = GanMeasuring(job.cell, rows, job.plan.board, job.plan.features)
            yield [Task(job.piece("measuring", work, job.measuring_threads), nothing)]
        for each in job.works:
            done(_result(each, job.plan))
        ctx.reporter.announce(job.name, "diverged" if folder.diverged.exists() else "stored")


def _result(work: GanWork, plan: GanPlan) -> GanResult:
    """Return the result of a finished GAN from the store."""
    folder, protocols = work.folder, plan.board.measure.protocols
    if folder.diverged.exists():
        return GanResult(work, None, *read_divergence(folder), (), protocols)
    found = [read_measured(metrics_file(folder.path, each), each)
             for each in plan.measurements(work)]  # fmt: skip
    return GanResult(work, read_manifest(folder), "", "", tuple(found), protocols)
