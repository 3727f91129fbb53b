"""Evaluate a third-party network on a board's data and attacks, and write it as a submission."""

import tempfile
from pathlib import Path
from typing import Unpack

from robench.board.board import Board
from robench.board.cells import ExternalCell
from robench.board.plan import build_attacks
from robench.data import DataSet, load_dataset
from robench.errors import UserError
from robench.leaderboard.bundle import Bundle, completed, data_name
from robench.leaderboard.submission.limits import check_name, shown
from robench.leaderboard.submission.write import publish
from robench.models.external import ExternalOptions, split_name
from robench.models.library_options import check_library_options
from robench.runs.context import RunContext
from robench.runs.external_row import external_row, load_own
from robench.runs.options import RunKeywords, RunOptions
from robench.runs.records import BoardResult
from robench.runs.run import columns_of
from robench.runs.store import CellFolder, RunStore
from robench.system.staging import check_empty


def external_submission(
    title: str,
    architecture: str,
    weights: Path | None,
    board: Board,
    folder: Path,
    external: ExternalOptions | None = None,
    **keywords: Unpack[RunKeywords],
) -> tuple[str, ...]:
    """Evaluate a third-party network as the cells of a board are, and write it as a submission.

    Its state dict is stored as safetensors. A ``FILE.py`` that builds it is copied to ``model/``,
    for a maintainer to read.

    Args:
        title: the title of its row.
        architecture: ``timm:NAME``, ``torchvision:NAME``, ``FILE.py:build`` or
            ``package.module:build``; the code is executed.
        weights: ``.safetensors``, or a file of ``torch.save`` with tensors only; a library's own
            pretrained weights by default.
        board: the board whose data, attacks and first seed it is evaluated with.
        folder: the folder to write; new or empty.
        external: what is put before the network, and which weights of the file are taken.
        keywords: the fields of :class:`robench.runs.options.RunOptions`.

    Returns:
        Sentences for the user: what is put before the network, which weights were taken.

    Raises:
        UserError: if title, folder, network, weights or data are invalid; before any attack.
    """
    options = RunOptions.of(**keywords)
    check_name(title, f"the row's title {shown(title)}")
    check_empty(folder)
    if architecture.startswith(("timm:", "torchvision:")):
        check_library_options(architecture)
    dataset = _dataset(board, options)
    columns = columns_of(build_attacks(board.evaluation))
    bundle = completed(Bundle(), board, [])
    cell, network, content = load_own(architecture, weights, board, dataset, external)
    own = _board_of_one(board, title, cell, data_name(board, dataset.name, bundle))
    with tempfile.TemporaryDirectory() as scratch:
        ctx = RunContext(
            store=RunStore(Path(scratch)),
            dataset=dataset,
            evaluation=board.evaluation,
            device=options.device,
            reporter=options.reporter,
        )
        row = external_row(title, cell, network.module, content, own, ctx)
        result = BoardResult(own, dataset.name, columns, (row,))
        stored = CellFolder(ctx.store.root / cell.key).weights
        codes = [Path(split_name(architecture)[0])] if cell.file else []
        publish(result, {cell.key: stored}, codes, folder, bundle)
    return network.notes


def _dataset(board: Board, options: RunOptions) -> DataSet:
    dataset = load_dataset(options.data or board.data.name, options.data_dir)
    if board.evaluation.samples > len(dataset.test):
        raise UserError(
            f"the board asks for {board.evaluation.samples} test images, but {dataset.name} has "
            f"{len(dataset.test)}."
        )
    return dataset


def _board_of_one(board: Board, title: str, cell: ExternalCell, data: str) -> Board:
    """Return the board with the third-party network as its only row."""
    return board.model_copy(
        update={
            "defenses": (),
            "arms": (),
            "external": (title,),
            "baseline": "",
            "seeds": (cell.seed,),
            "data": cell.data.model_copy(update={"name": data}),
        }
    )
