"""``robench run --dry-run``: what a run of a board would take, without running it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from robench.board.board import Board
from robench.board.cells import Cell
from robench.models.checkpoint import Network
from robench.registry import defenses
from robench.runs.context import RunContext
from robench.runs.executors import jobs_at_once
from robench.runs.placement import Placement
from robench.runs.run import cell_jobs, check_sizes, prepared
from robench.runs.status import State
from robench.runs.steps import CellJob
from robench.runs.train_cell import training_data
from robench.system.devices import is_here
from robench.system.random_state import own_random_state
from robench.system.threads import computing_with
from robench.training.data import TrainingData
from robench.training.loop import TrainingDivergedError, fit

MINIBATCHES = 2
"""How many minibatches are trained on to measure the time of one, after as many to warm up."""


@dataclass(frozen=True)
class CellForecast:
    """What is left to do for a cell.

    Attributes:
        row: the title of its row.
        seed: its seed.
        state: what is done next for it; see :class:`robench.runs.status.CellStatus`.
        training: roughly the seconds that are left of its training.
        attacking: roughly the seconds that are left of its attacks and checks.
        weights: the size of its weights in bytes.
    """

    row: str
    seed: int
    state: State
    training: float
    attacking: float
    weights: int


@dataclass(frozen=True)
class Forecast:
    """What a run would take.

    Attributes:
        cells: in the order of rows and seeds.
        jobs: how many pieces of work would run at the same time.
        timed: whether each training runs alone, as on a board with a goal.
    """

    cells: tuple[CellForecast, ...]
    jobs: int
    timed: bool = False

    @property
    def seconds(self) -> float:
        """Roughly the seconds of the run, if its pieces can be spread evenly."""
        training = sum(cell.training for cell in self.cells)
        attacking = sum(cell.attacking for cell in self.cells)
        if self.timed:
            return training + attacking / self.jobs
        return (training + attacking) / self.jobs


def forecast(
    board: Board,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    placement: Placement = Placement(jobs=None),  # noqa: B008 - it is frozen
) -> Forecast:
    """Return what a run of a board would take; nothing is stored.

    Each row's network is trained on a few minibatches, with the row's recipe, to measure the time
    of one. Attacks are assumed to be as fast per forward, so that their time is a rough estimate:
    it depends on how many images are fooled, and when. Other machines are assumed to be as fast as
    this one; if this one lacks their device, the times are not known.

    Args:
        board: the specification.
        out: the folder of the run store; what it has is not counted.
        data_dir: the folder where the data set is.
        device: the device of the run.
        placement: as for :func:`robench.runs.run.run_board`; by default as many pieces at the same
            time as suit the machine.

    Raises:
        UserError: as a run would before its first training.
    """
    plan, ctx = prepared(board, out, data_dir, device)
    check_sizes(plan, ctx.dataset)
    work = cell_jobs(plan, ctx)
    ctx.store.check(job.cell for job in work)
    number, here = jobs_at_once(placement, work, ctx), is_here(ctx.device)
    speeds: dict[str, tuple[float, int]] = {}
    for job in work:
        if job.row not in speeds:
            seconds = _seconds_per_effort(job, ctx) if here else math.nan
            speeds[job.row] = seconds, _bytes(job.cell, ctx)
    return Forecast(tuple(_cell(job, speeds) for job in work), number, board.goal is not None)


def _cell(job: CellJob, speeds: Mapping[str, tuple[float, int]]) -> CellForecast:
    state, *_ = job.progress
    seconds, weights = speeds[job.row]
    training, attacking = job.left
    return CellForecast(
        row=job.row,
        seed=job.cell.seed,
        state=state,
        training=seconds * training if training else 0.0,
        attacking=seconds * attacking if attacking else 0.0,
        weights=weights,
    )


def _seconds_per_effort(job: CellJob, ctx: RunContext) -> float:
    """Train a row's network on a few minibatches, twice, and return the time of the second pass.

    It is nan if even that diverges.
    """
    cell = job.cell
    data = training_data(cell, ctx.dataset)
    images = MINIBATCHES * cell.training.batch_size
    few = data.train.take(torch.arange(min(images, len(data.train))))
    part = TrainingData(few, few.take(torch.arange(0)), data.augmentation, cell.seed)
    # A small constant rate: nothing is learned, and nothing should diverge.
    rate = {"lr": cell.training.lr / 100, "schedule": "step", "milestones": ()}
    recipe = cell.training.model_copy(update={"epochs": 2, **rate})
    with computing_with(job.effort.threads), own_random_state(ctx.device, cell.seed):
        model = Network.of(cell, ctx.dataset).build()
        try:
            log = fit(model, defenses.build(cell.defense), recipe, part, device=ctx.device)
        except TrainingDivergedError:
            return math.nan
    return log[-1].seconds / job.effort.epoch(cell, len(few))


def _bytes(cell: Cell, ctx: RunContext) -> int:
    model = Network.of(cell, ctx.dataset).build()
    return sum(t.numel() * t.element_size() for t in model.state_dict().values())
