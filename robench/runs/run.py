"""Run a whole board, one cell after the other."""

from collections.abc import Mapping
from pathlib import Path

import torch

from robench.base import Attack
from robench.board.board import Board
from robench.board.plan import Plan, PlannedRow, resolve
from robench.board.specs import Cell
from robench.data import DataSet, load_dataset
from robench.data.dataset import require_training
from robench.errors import UserError
from robench.models.checkpoint import Network
from robench.runs.cell import finish_training, run_cell
from robench.runs.check_cell import check_rows
from robench.runs.context import RunContext
from robench.runs.measure_cell import costs_of, measure_rows
from robench.runs.progress import NullReporter, ProgressReporter
from robench.runs.records import BoardResult, EvaluatedColumn, RowResult
from robench.runs.store import CellFolder, RunStore
from robench.runs.workers import Load, broadcast


def run_board(
    board: Board,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
) -> BoardResult:
    """Train and attack the networks of a board; finished cells are taken from ``out/cells``.

    Args:
        board: the specification.
        out: the folder of the run store; a finished cell in it is not computed again.
        data_dir: the folder where the data set is or is downloaded to.
        device: the device to run on; the CPU by default.
        reporter: called with the progress of the run.

    Raises:
        UserError: if the board names something unknown, before any work is done; or the data
            cannot be read or the results cannot be written.
    """
    plan = resolve(board)
    ctx = _context(plan, out, data_dir, device, reporter)
    ctx.store.check(cell for row in plan.rows for cell in _cells(row, board, ctx.dataset))
    rows: list[RowResult] = []
    for row in plan.rows:
        cells = _cells(row, board, ctx.dataset)
        results = tuple(run_cell(cell, row.title, ctx) for cell in cells)
        rows.append(RowResult(row.title, costs_of(cells[0], ctx), results))
    done = measure_rows(check_rows(board, tuple(rows), ctx), ctx)
    return BoardResult(board, ctx.dataset.name, columns_of(plan.attacks), done)


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
) -> CellFolder:
    """Train the first cell of a board without attacking it, and return its folder.

    The arguments and errors are those of :func:`run_board`.
    """
    plan = resolve(board)
    ctx = _context(plan, out, data_dir, device, reporter)
    row = plan.rows[0]
    cell = _cells(row, board, ctx.dataset)[0]
    ctx.store.check([cell])
    folder = ctx.store.open(cell)
    with ctx.store.lock(folder):
        finish_training(cell, row.title, folder, ctx)
    return folder


def _context(
    plan: Plan,
    out: Path,
    data_dir: Path | None,
    device: torch.device | None,
    reporter: ProgressReporter | None,
) -> RunContext:
    board = plan.board
    dataset = load_dataset(board.data.name, data_dir)
    broadcast(Load(board.data.name, data_dir))
    check_sizes(plan, dataset)
    return RunContext(
        store=RunStore(out / "cells"),
        dataset=dataset,
        evaluation=board.evaluation,
        device=device or torch.device("cpu"),
        reporter=reporter or NullReporter(),
    )


def _cells(row: PlannedRow, board: Board, dataset: DataSet) -> list[Cell]:
    return row.cells(board.seeds, dataset.name, dataset.fingerprint)


def check_sizes(plan: Plan, dataset: DataSet) -> None:
    """Build every network once and count the test images, before any work is done.

    Raises:
        UserError: if a network does not fit the images, a defense does not fit the network, there
            are no training images, or fewer test images than the board asks for.
    """
    board = plan.board
    if plan.rows:
        require_training(dataset)
    if board.evaluation.samples > len(dataset.test):
        raise UserError(
            f"the board asks for {board.evaluation.samples} test images, but {dataset.name} has "
            f"{len(dataset.test)}; lower evaluation.samples."
        )
    for row in plan.rows:
        cell = _cells(row, board, dataset)[0]
        with torch.random.fork_rng():
            network = Network.of(cell, dataset).build()
        with torch.no_grad():  # a penalty may be for layers that the network does not have
            row.defense.penalty(network)
            row.defense.after_step(network)
