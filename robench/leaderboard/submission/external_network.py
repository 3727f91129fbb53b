"""Somebody's own network as a submission: judged on a board's data and attacks, then written."""

import tempfile
from pathlib import Path

import torch

from robench.board.board import Board
from robench.board.plan import build_attacks
from robench.data import load_dataset
from robench.errors import UserError
from robench.leaderboard.submission.limits import check_name, shown
from robench.leaderboard.submission.write import check_empty, publish
from robench.runs.context import RunContext
from robench.runs.external_row import check_library_options, external_row, load_own
from robench.runs.progress import NullReporter, ProgressReporter
from robench.runs.records import BoardResult
from robench.runs.run import columns_of
from robench.runs.store import CellFolder, RunStore


# More parameters than usual: each is an option of 'robench submit --model'.
def external_submission(
    title: str,
    architecture: str,
    weights: Path | None,
    board: Board,
    folder: Path,
    *,
    data: str | None = None,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
) -> list[Path]:
    """Judge somebody's own network as the cells of a board are, and write it as a submission.

    Its state dict is stored as safetensors. A ``FILE.py`` that builds it is copied to ``model/``,
    for a maintainer to read.

    Args:
        title: of its row.
        architecture: ``timm:NAME``, ``torchvision:NAME``, ``FILE.py:build`` or
            ``package.module:build``; the code is executed.
        weights: ``.safetensors``, or a file of ``torch.save`` with tensors only; a library's own
            pretrained weights if left out.
        board: whose data, attacks and first seed it is judged with.
        folder: to write; new or empty.
        data: the data set; that of the board if left out.
        data_dir: where the data set is, or is downloaded to.
        device: where to work; the CPU by default.
        reporter: told how the work goes.

    Returns:
        The files.

    Raises:
        UserError: before any attack where title, folder, network, weights or data are not as they
            must be.
    """
    check_name(title, f"the row's title {shown(title)}")
    check_empty(folder)
    if architecture.startswith(("timm:", "torchvision:")):
        check_library_options(architecture)
    dataset = load_dataset(data or board.data.name, data_dir)
    if board.evaluation.samples > len(dataset.test):
        raise UserError(
            f"the board asks for {board.evaluation.samples} test images, but {dataset.name} has "
            f"{len(dataset.test)}."
        )
    columns = columns_of(build_attacks(board.evaluation))
    cell, model, content = load_own(architecture, weights, board, dataset)
    own = board.model_copy(
        update={
            "defenses": (),
            "arms": (),
            "external": (title,),
            "baseline": "",
            "seeds": (cell.seed,),
            "data": cell.data,
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        ctx = RunContext(
            store=RunStore(Path(scratch)),
            dataset=dataset,
            evaluation=board.evaluation,
            device=device or torch.device("cpu"),
            reporter=reporter or NullReporter(),
        )
        row = external_row(title, cell, model, content, own, ctx)
        result = BoardResult(own, dataset.name, columns, (row,))
        stored = CellFolder(ctx.store.root / cell.key).weights
        codes = [Path(architecture.partition(":")[0])] if cell.file else []
        return publish(result, {cell.key: stored}, codes, folder)
