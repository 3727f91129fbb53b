"""A whole board: its cells one after the other."""

from pathlib import Path

import torch

from robench.board.board import Board, RowSpec
from robench.board.specs import Cell
from robench.data import DataSet, load_dataset
from robench.errors import UserError, did_you_mean
from robench.models.checkpoint import Network
from robench.models.complexity import Complexity, measure_complexity
from robench.registry import attacks, backbones, defenses
from robench.runs.cell import RunContext, run_cell, train_cell
from robench.runs.check_cell import check_rows
from robench.runs.measure_cell import measure_rows
from robench.runs.progress import NullReporter, ProgressReporter
from robench.runs.records import BoardResult, EvaluatedColumn, RowResult
from robench.runs.store import CellFolder, RunStore
from robench.runs.workers import Load, tell


def run_board(
    board: Board,
    *,
    out: Path,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
) -> BoardResult:
    """Train and attack what a board names; finished cells are taken from ``out/cells``.

    Args:
        board: the specification.
        out: folder of the run store; a finished cell in it is not computed again.
        data_dir: where the data set is, or is downloaded to.
        device: where to work; the CPU by default.
        reporter: told how the work goes.

    Raises:
        UserError: where the board names what is not there, before any work is done; or the
            data cannot be read or the results not written.
    """
    ctx = _context(board, out, data_dir, device, reporter)
    rows: list[RowResult] = []
    for arm, _ in board.rows():
        cells = _cells(board, arm, ctx.dataset)
        results = tuple(run_cell(cell, arm.title, ctx) for cell in cells)
        rows.append(RowResult(arm.title, _costs(cells[0], ctx), results))
    done = measure_rows(check_rows(board, tuple(rows), ctx), ctx)
    return BoardResult(board, ctx.dataset.name, columns_of(board), done)


def columns_of(board: Board) -> dict[str, EvaluatedColumn]:
    """Return what a board judges: the clean images, then its attacks."""
    evaluation = board.evaluation
    built = {a: attacks.build(a, evaluation.defaults) for a in evaluation.attacks}
    attacked = {name: EvaluatedColumn.of(attack) for name, attack in built.items()}
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
    ctx = _context(board, out, data_dir, device, reporter)
    arm, _ = board.rows()[0]
    cell = _cells(board, arm, ctx.dataset)[0]
    folder = ctx.store.open(cell)
    with ctx.store.lock(folder):
        if not folder.finished_training:
            ctx.reporter.cell(arm.title, cell.seed, "training")
            train_cell(cell, folder, ctx)
    return folder


def _context(
    board: Board,
    out: Path,
    data_dir: Path | None,
    device: torch.device | None,
    reporter: ProgressReporter | None,
) -> RunContext:
    check_names(board)
    dataset = load_dataset(board.data.name, data_dir)
    tell(Load(board.data.name, data_dir))
    check_sizes(board, dataset)
    return RunContext(
        store=RunStore(out / "cells"),
        dataset=dataset,
        evaluation=board.evaluation,
        device=device or torch.device("cpu"),
        reporter=reporter or NullReporter(),
    )


def _cells(board: Board, arm: RowSpec, dataset: DataSet) -> list[Cell]:
    plugin = defenses.plugin_hash(arm.defense)
    return board.cells(arm, dataset.name, dataset.fingerprint, plugin)


def _costs(cell: Cell, ctx: RunContext) -> Complexity:
    with torch.random.fork_rng():
        model = Network.of(cell, ctx.dataset).build()
    shape = (ctx.dataset.in_channels, *ctx.dataset.image_size)
    return measure_complexity(
        model.to(ctx.device).to(memory_format=torch.channels_last),
        defenses.build(cell.defense),
        torch.zeros(cell.training.batch_size, *shape, device=ctx.device),
        precision=cell.training.precision,
    )


def check_names(board: Board) -> None:
    """Build every defense and attack that a board names, so that a wrong name costs no work.

    Raises:
        UserError: for the first name or option that is not there, and for rows that no training
            can make.
    """
    if board.external:
        raise UserError(
            f"the row '{board.external[0]}' is somebody's own network, which is judged and not "
            f"trained; take it out of 'external' and add it with 'robench submit --model'."
        )
    for arm, _ in board.rows():
        defenses.build(arm.defense)
    _check_defaults(board)
    for attack in board.evaluation.attacks:
        attacks.build(attack, board.evaluation.defaults)
    for model in {board.model, *(arm.model for arm, _ in board.rows() if arm.model)}:
        backbones.get(model.name)


def _check_defaults(board: Board) -> None:
    """Check that some attack has each default: misspelt, it would leave another radius in force."""
    known = attacks.options()
    for attack in board.evaluation.attacks:
        known |= attacks.options(attack)
    for name in board.evaluation.defaults:
        if name not in known:
            raise UserError(
                f"evaluation.defaults has '{name}', an option of no attack; "
                f"{did_you_mean(name, known)}"
            )


def check_sizes(board: Board, dataset: DataSet) -> None:
    """Build every network once and count the test images, before any work is done.

    Raises:
        UserError: where a network does not fit the images or a defense the network, or there
            are fewer test images than the board asks for.
    """
    if board.evaluation.samples > len(dataset.test):
        raise UserError(
            f"the board asks for {board.evaluation.samples} test images, but {dataset.name} has "
            f"{len(dataset.test)}; lower evaluation.samples."
        )
    for arm, _ in board.rows():
        cell = _cells(board, arm, dataset)[0]
        with torch.random.fork_rng():
            network = Network.of(cell, dataset).build()
        defense = defenses.build(arm.defense)
        with torch.no_grad():  # a penalty may be for layers that the network does not have
            defense.penalty(network)
            defense.after_step(network)
