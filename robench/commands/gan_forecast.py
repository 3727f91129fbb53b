"""``robench run --dry-run`` for boards of GANs: what a run would take, without running it."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from robench.gan.batches import Batches, training_images
from robench.gan.board import GanBoard
from robench.gan.cell import build_pair
from robench.gan.metrics.distances import SUBSET, frechet_distance, kernel_distance
from robench.gan.metrics.extractors import Extractor
from robench.gan.sampling import draw
from robench.gan.training import GanDivergedError, fit_gan
from robench.registry import defenses
from robench.runs.executors import jobs_at_once
from robench.runs.gan_board import GanJob, gan_context, gan_jobs
from robench.runs.gan_plan import GanPlan, GanWork, check_fits, plan_gans
from robench.runs.gan_status import gan_status
from robench.runs.placement import Placement
from robench.runs.status import State
from robench.system.devices import is_here
from robench.system.random_state import own_random_state
from robench.system.threads import computing_with

STEPS = 3
"""How many steps are taken to measure the time of one; the first, which is slow, does not count."""

FEW = 64
"""Images on which the time of drawing one and of its features is measured."""

FEATURES = 500
"""Features of which distances are computed to measure their time."""


@dataclass(frozen=True)
class GanForecastCell:
    """What is left to do for a GAN.

    Attributes:
        row: the title of its row.
        seed: its seed.
        state: what is done next for it; see :class:`robench.runs.status.CellStatus`.
        training: roughly the seconds that are left of its training; nan if even the first steps
            diverge. 0 where another row has the same GAN.
        measuring: roughly the seconds that are left of its measurements.
    """

    row: str
    seed: int
    state: State
    training: float
    measuring: float


@dataclass(frozen=True)
class GanForecast:
    """What a run would take.

    Attributes:
        cells: in the order of rows and seeds.
        jobs: how many GANs would be trained or measured at the same time.
    """

    cells: tuple[GanForecastCell, ...]
    jobs: int

    @property
    def seconds(self) -> float:
        """Roughly the seconds of the run, if its pieces can be spread evenly."""
        return sum(cell.training + cell.measuring for cell in self.cells) / self.jobs


@dataclass(frozen=True)
class _Speed:
    """Seconds of a sample with its features, of a Frechet distance and of a kernel distance."""

    sample: float = 0.0
    frechet: float = 0.0
    kernel: float = 0.0


def gan_forecast(
    board: GanBoard,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    placement: Placement = Placement(jobs=None),  # noqa: B008 - it is frozen
    inception: Path | None = None,
) -> GanForecast:
    """Return what a run of a board would take; nothing is stored.

    Each row's GAN is trained for a few steps to measure the time of one, and a few samples are
    measured. Other machines are assumed to be as fast as this one; if this one lacks their device,
    the times are not known.

    Args:
        board: the specification.
        out: the folder of the run store; what it has is not counted.
        data_dir: the folder where the data set is.
        device: the device of the run.
        placement: as for :func:`robench.runs.gan_board.run_gan_board`; by default as many pieces at
            the same time as suit the machine.
        inception: the file of Inception's weights, if the board needs them.

    Raises:
        UserError: as a run would before its first training.
    """
    plan = plan_gans(board, out, data_dir, inception)
    check_fits(plan)
    ctx = gan_context(plan, out, device)
    found = gan_jobs(plan, ctx)
    number, here = jobs_at_once(placement, found, ctx), is_here(ctx.device)
    steps: dict[str, float] = {}
    for job in found:
        row = job.works[0].row.title
        if row not in steps and not job.folder.finished:
            steps[row] = _seconds_of_a_step(job, plan) if here else math.nan
    speed = _Speed()
    if not all(job.is_stored for job in found):
        speed = _speed(found[0], plan) if here else _Speed(math.nan, math.nan, math.nan)
    first = {job.works[0].name for job in found}
    cells = (_cell(each, plan, steps, speed, trains=each.name in first) for each in plan.work)
    return GanForecast(tuple(cells), number)


def _cell(
    work: GanWork, plan: GanPlan, steps: Mapping[str, float], speed: _Speed, *, trains: bool
) -> GanForecastCell:
    status = gan_status(work, plan)
    gan = work.cell.gan
    left = 0 if work.folder.finished or not trains else gan.steps - status.finished
    protocols = plan.board.measure.protocols
    wanted = [*protocols]
    wanted += [protocols[0]] * (len(gan.snapshot_steps) if plan.board.measure.snapshots else 0)
    if work.folder.diverged.exists():
        wanted = []
    elif work.folder.finished:
        missing = plan.missing(work)
        wanted = [p for p in wanted if any(p.samples == each.samples for each in missing)]
    seconds = sum(
        each.samples * speed.sample
        + speed.frechet
        + speed.kernel * (min(SUBSET, each.samples // 2) / (FEATURES // 2)) ** 2
        for each in wanted
    )
    return GanForecastCell(
        row=work.row.title,
        seed=work.cell.seed,
        state=status.state,
        training=left * steps[work.row.title] if left else 0.0,
        measuring=seconds,
    )


def _seconds_of_a_step(job: GanJob, plan: GanPlan) -> float:
    """Train a GAN for a few steps, and return the time of one; nan if it diverges."""
    gan = job.cell.gan.model_copy(update={"steps": STEPS, "log_every": 1, "snapshots": 0})
    images = training_images(plan.dataset).images
    batches = Batches(images, gan.batch_size, job.cell.seed, job.ctx.device)
    defense = defenses.build(job.cell.defense)
    with computing_with(job.threads), own_random_state(job.ctx.device):
        try:
            rows, _ = fit_gan(*build_pair(job.cell), defense, gan, batches)
        except GanDivergedError:
            return math.nan
    return sum(row.seconds for row in rows[1:]) / (STEPS - 1)


def _speed(job: GanJob, plan: GanPlan) -> _Speed:
    """Measure a few samples of an untrained generator."""
    network: Extractor = plan.features.load(job.ctx.device)
    generator, _ = build_pair(job.cell)
    generator.to(job.ctx.device)
    with computing_with(job.measuring_threads):
        network.features(draw(generator, job.cell.gan.latent, FEW, seed=0))  # warms up
        start = time.perf_counter()
        features = network.features(draw(generator, job.cell.gan.latent, FEW, seed=0))[0]
        sampled = time.perf_counter()
        one, other = torch.randn(2, FEATURES, features.shape[1]).unbind()
        frechet_distance(one, other)
        between = time.perf_counter()
        kernel_distance(one, other)
        end = time.perf_counter()
    return _Speed((sampled - start) / FEW, between - sampled, end - between)
