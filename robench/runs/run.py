"""Run a whole board: its cells one after the other, or side by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from robench.base import Attack
from robench.board.board import Board
from robench.board.cells import Cell
from robench.board.plan import Plan, PlannedRow, resolve
from robench.data import DataSet, load_dataset
from robench.data.dataset import require_training
from robench.errors import UserError
from robench.models.checkpoint import Network
from robench.runs.board_work import BoardWork
from robench.runs.cell import finish_training
from robench.runs.context import RunContext
from robench.runs.effort import Effort
from robench.runs.executor import InThisProcess
from robench.runs.executors import executor_for
from robench.runs.observer import NullObserver, Observer
from robench.runs.placement import Placement
from robench.runs.progress import NullReporter, ProgressReporter
from robench.runs.proved import check_proved
from robench.runs.records import BoardResult, CellResult, EvaluatedColumn
from robench.runs.schedule import Job, Schedule
from robench.runs.steps import CellJob, compute_columns
from robench.runs.store import CellFolder, RunStore
from robench.runs.threads import multiply_adds_of
from robench.runs.train_cell import augmentation_of
from robench.runs.workers import Load, broadcast
from robench.system.threads import threads_for


def run_board(
    board: Board,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
    placement: Placement = Placement(),  # noqa: B008 - it is frozen
    observer: Observer[CellJob, CellResult] | None = None,
) -> BoardResult:
    """Train and attack the networks of a board; finished cells are taken from ``out/cells``.

    Outcomes and weights are the same to the bit wherever they are computed.

    Args:
        board: the specification.
        out: the folder of the run store; a finished cell in it is not computed again.
        data_dir: the folder where the data set is or is downloaded to.
        device: the device to run on; the CPU by default.
        reporter: called with the progress of the run.
        placement: where the pieces of work are done; by default here, one after the other.
        observer: follows the cells.

    Raises:
        UserError: if the board names something unknown, before any work is done; or the data
            cannot be read or the results cannot be written. If a cell fails, the others are
            finished first.
    """
    plan, ctx = prepared(board, out, data_dir, device, reporter)
    check_sizes(plan, ctx.dataset)
    work = cell_jobs(plan, ctx)
    ctx.store.check(job.cell for job in work)
    observer = observer or NullObserver()
    observer.begin(work)
    executor = executor_for(placement, board.data.name, data_dir, work, ctx)
    todo = BoardWork(board, work, ctx, observer)
    todo.do(executor, longest_first=not isinstance(executor, InThisProcess))
    return BoardResult(board, ctx.dataset.name, columns_of(plan.attacks), todo.rows())


def cell_jobs(plan: Plan, ctx: RunContext) -> list[CellJob]:
    """Return the cells of a board with what the work on them takes, in order."""
    timed, planned = plan.board.goal is not None, planned_cells(plan, ctx)
    sources = transfer_sources(plan, planned)
    return [
        CellJob(cell, title, effort, ctx, timed, sources.get((title, cell.seed)))
        for title, cells in planned
        for effort in [_effort(cells[0], ctx)]
        for cell in cells
    ]


def transfer_sources(
    plan: Plan, planned: Sequence[tuple[str, Sequence[Cell]]]
) -> dict[tuple[str, int], Cell]:
    """Return row and seed -> the cell whose adversarial images are transferred to that cell.

    That is the cell of the baseline row with the same seed; the baseline row itself has none.
    """
    baseline = plan.board.baseline_row
    known = {cell.seed: cell for title, cells in planned if title == baseline for cell in cells}
    return {
        (title, cell.seed): known[cell.seed]
        for title, cells in planned
        for cell in cells
        if title != baseline and cell.seed in known
    }


def run_cell(cell: Cell, title: str, ctx: RunContext) -> CellResult:
    """Finish a cell in this process and return its result; what is stored is not computed again.

    Raises:
        UserError: if the store cannot be written or another process is working on the cell.
        Exception: whatever else an entry of the cell raises.
    """
    found: list[CellResult] = []
    job = CellJob(cell, title, _effort(cell, ctx), ctx)

    def keep(result: CellResult, computed: bool) -> None:
        found.append(result)

    schedule = Schedule([Job(job.name, partial(compute_columns, job, keep))], InThisProcess(ctx))
    schedule.run()
    if schedule.failures:
        raise schedule.failures[0].error
    return found[0]


def _effort(cell: Cell, ctx: RunContext) -> Effort:
    multiply_adds = multiply_adds_of(cell, ctx.dataset)
    return Effort(multiply_adds, threads_for(multiply_adds, ctx.device))


def columns_of(attacks: Mapping[str, Attack]) -> dict[str, EvaluatedColumn]:
    """Return the columns to evaluate: the clean images, then the attacks."""
    attacked = {name: EvaluatedColumn.of(attack) for name, attack in attacks.items()}
    return {"clean": EvaluatedColumn(), **attacked}


def train_row(
    board: Board,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
    observer: Observer[CellJob, CellResult] | None = None,
) -> CellFolder:
    """Train the first cell of a board without attacking it, and return its folder.

    The arguments and errors are those of :func:`run_board`.
    """
    plan, ctx = prepared(board, out, data_dir, device, reporter)
    check_networks(plan, ctx.dataset)
    title, (cell, *_) = planned_cells(plan, ctx)[0]
    ctx.store.check([cell])
    job = CellJob(cell, title, _effort(cell, ctx), ctx)
    observer = observer or NullObserver()
    observer.begin([job])
    folder = ctx.store.open(cell)
    with ctx.store.lock(folder):
        finish_training(cell, title, folder, ctx)
        observer.trained(job)
    return folder


def prepared(
    board: Board,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
) -> tuple[Plan, RunContext]:
    """Return the plan of a board and the context of a run of it.

    The arguments are those of :func:`run_board`.

    Raises:
        UserError: if the board names something unknown, or the data cannot be read.
    """
    plan = resolve(board)
    dataset = load_dataset(board.data.name, data_dir)
    broadcast(Load(board.data.name, data_dir))
    return plan, RunContext(
        store=RunStore(out / "cells"),
        dataset=dataset,
        evaluation=board.evaluation,
        device=device or torch.device("cpu"),
        reporter=reporter or NullReporter(),
    )


def planned_cells(plan: Plan, ctx: RunContext) -> list[tuple[str, list[Cell]]]:
    """Return the title and the cells of each row of a board."""
    return [(row.title, _cells(row, plan.board, ctx.dataset)) for row in plan.rows]


def _cells(row: PlannedRow, board: Board, dataset: DataSet) -> list[Cell]:
    return row.cells(board.seeds, dataset.name, dataset.fingerprint)


def check_sizes(plan: Plan, dataset: DataSet) -> None:
    """Count the test images and build every network once, before any work is done.

    Raises:
        UserError: if there are fewer test images than the board asks for; or see
            :func:`check_networks`.
    """
    board = plan.board
    if board.evaluation.samples > len(dataset.test):
        raise UserError(
            f"the board asks for {board.evaluation.samples} test images, but {dataset.name} has "
            f"{len(dataset.test)}; lower evaluation.samples."
        )
    check_networks(plan, dataset)


def check_networks(plan: Plan, dataset: DataSet) -> None:
    """Build every network once, before any is trained.

    Raises:
        UserError: if a network or the padding does not fit the images, a defense does not fit the
            network, or there are no training images; or if the board is strict and nothing is
            proved of a network.
    """
    board = plan.board
    if plan.rows:
        require_training(dataset)
    for row in plan.rows:
        cell = _cells(row, board, dataset)[0]
        augmentation_of(cell, dataset)
        with torch.random.fork_rng(devices=[]):
            network = Network.of(cell, dataset).build()
        with torch.no_grad():  # a penalty may be for layers that the network does not have
            row.defense.penalty(network)
            row.defense.after_step(network)
        if board.evaluation.strict:
            check_proved(network, row.title, plan.attacks, dataset)
