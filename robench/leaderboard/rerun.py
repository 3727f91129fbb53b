"""Reproduce rows of a published leaderboard: attack their weights again, or retrain them first."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

from robench.board.specs import Cell, ExternalCell
from robench.data import DataSet, load_dataset
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.statistics import estimate
from robench.leaderboard.trust import unknown_to, unknown_to_all, untrusted
from robench.runs.cell import evaluate_external, run_cell
from robench.runs.context import RunContext
from robench.runs.external_row import rebuild
from robench.runs.options import RunKeywords, RunOptions
from robench.runs.records import CellResult
from robench.runs.store import CellFolder, RunStore
from robench.system.files import write_bytes, write_json, write_text
from robench.system.provenance import file_hash

REPRODUCED, WITHIN, NOT = "reproduced", "within the interval", "not reproduced"
"""The verdict on a figure: equal on every image, within its 95% interval, or neither."""


@dataclass(frozen=True, eq=False)
class Rerun:
    """The result of a rerun.

    Attributes:
        figures: one line per cell and column: ``defense``, ``seed``, ``column``, ``published`` and
            ``found`` accuracy, ``other_images``, the number of images on which the outcome differs,
            and ``verdict``.
        notes: what could not be reproduced, and weights that do not match the manifest.
        broken: whether one of the notes reports an error.
    """

    figures: pd.DataFrame
    notes: tuple[str, ...]
    broken: bool

    @property
    def sound(self) -> bool:
        """Whether no figure that was recomputed contradicts the published one."""
        return not self.broken and not (self.figures["verdict"] == NOT).any()


@dataclass(frozen=True)
class RerunOptions(RunOptions):
    """How rows are rerun: besides the options of a run, sources of weights and trust.

    Attributes:
        stores: run stores whose ``cells`` may hold the weights; the board's own ``weights`` folder
            and the folder that the board is in are searched as well.
        retrain: train the networks again instead of loading their weights.
        trust_code: execute the code that came with the board, if it is needed.
    """

    stores: Sequence[str | Path] = ()
    retrain: bool = False
    trust_code: bool = False


class RerunKeywords(RunKeywords, total=False):
    """The fields of :class:`RerunOptions` as keyword arguments."""

    stores: Sequence[str | Path]
    retrain: bool
    trust_code: bool


def rerun(board: Leaderboard, rows: Sequence[str], **keywords: Unpack[RerunKeywords]) -> Rerun:
    """Attack the weights of rows again, and compare the outcomes with the published ones.

    Args:
        board: the board as read.
        rows: the titles of the rows.
        keywords: the fields of :class:`RerunOptions`.

    Raises:
        UserError: if the images are not those of the board, or an entry is not registered.
    """
    options = RerunOptions(**keywords)
    if rows and (unknown := unknown_to_all(board)):
        none = pd.DataFrame(columns=[*_COLUMNS])
        return Rerun(none, (untrusted(board, unknown),), broken=False)
    images = cache(partial(_images, board, options.data, options.data_dir))
    figures: list[dict[str, object]] = []
    notes: list[str] = []
    broken = False
    for cell in [cell for cell in board.cells if cell.row in rows]:
        again = _rerun_cell(board, cell, images, options)
        figures += again.figures
        notes += [f"'{cell.row}', seed {cell.seed}: {again.note}"] if again.note else []
        broken |= again.broken
    return Rerun(pd.DataFrame(figures, columns=[*_COLUMNS]), tuple(notes), broken)


_COLUMNS = ("defense", "seed", "column", "published", "found", "other_images", "verdict")


@dataclass(frozen=True)
class _CellRerun:
    """The result for one cell: its figures, or a note on why there are none."""

    figures: Sequence[dict[str, object]] = ()
    note: str = ""
    broken: bool = False


def _rerun_cell(
    board: Leaderboard,
    cell: PublishedCell,
    images: Callable[[], DataSet],
    options: RerunOptions,
) -> _CellRerun:
    manifest = cell.file.manifest
    if manifest is None and not options.retrain:
        return _CellRerun(note="its training diverged; only --retrain can reproduce it.")
    if unknown := unknown_to(cell, board):
        return _CellRerun(note=untrusted(board, unknown).removeprefix(f"{board.name}: "))
    if (reason := _out_of_reach(cell, options.retrain, options.trust_code)) is not None:
        return _CellRerun(note=reason)
    weights = None if options.retrain else find_weights(board.folder, cell, options.stores)
    if weights is None and not options.retrain:
        return _CellRerun(
            note="its weights are not here; name their folder with --store, or use --retrain."
        )
    if weights and manifest and file_hash(weights) != manifest.weights_hash:
        note = (
            f"{weights} is not the file that the manifest describes. Weights that were trained on "
            f"another machine, or by another version of torch, differ by rounding: train them here "
            f"and compare the figures with --retrain, or name the published weights with --store."
        )
        return _CellRerun(note=note, broken=True)
    with tempfile.TemporaryDirectory() as scratch:
        ctx = RunContext(
            store=RunStore(Path(scratch)),
            dataset=images(),
            evaluation=board.board.evaluation,
            device=options.device,
            reporter=options.reporter,
        )
        found = _reproduce(cell, weights, ctx, board.folder)
        if found.diverged != (manifest is None):
            note = f"training {'diverged' if found.diverged else 'did not diverge'} this time."
            return _CellRerun(note=note, broken=True)
        return _CellRerun(_compared(cell, found))


def draw_rows(board: Leaderboard, rows: str, seed: int) -> list[str]:
    """Return the titles of ``rows`` rows, drawn at random, in the order of the board.

    Raises:
        UserError: if ``rows`` is neither a number nor ``all``.
    """
    titles = list(dict.fromkeys(cell.row for cell in board.cells))
    if rows == "all":
        return titles
    if not rows.isdecimal():
        raise UserError(f"--rows is '{rows}'; give a number of rows, or 'all'.")
    count = min(int(rows), len(titles))
    drawn = np.random.default_rng(seed).choice(len(titles), size=count, replace=False)
    return [titles[i] for i in sorted(drawn)]


def find_weights(folder: Path, cell: PublishedCell, stores: Sequence[str | Path]) -> Path | None:
    """Return the file of a cell's weights; None if no such file is found.

    Searched are the board's own ``weights``, the run store that the board was published in, and
    ``stores``. A file that the manifest describes comes before one that it does not.
    """
    key, manifest = cell.file.cell.key, cell.file.manifest
    paths = [folder / "weights" / f"{key}.safetensors"]
    stores = [folder.resolve().parent, *stores]
    paths += [CellFolder(Path(store) / "cells" / key).weights for store in stores]
    found = [path for path in paths if path.is_file()]
    right = (path for path in found if manifest and file_hash(path) == manifest.weights_hash)
    return next(right, found[0] if found else None)


def _out_of_reach(cell: PublishedCell, retrain: bool, trust_code: bool) -> str | None:
    """Return why a network cannot be rerun, whatever files are available; None if it can."""
    spec = cell.file.cell
    if isinstance(spec, Cell):
        return None
    if retrain:
        return "it is a third-party network, which robench cannot retrain."
    if spec.of_library or trust_code:
        return None
    code = f"model/{spec.file}" if spec.file else spec.architecture.partition(":")[0]
    return f"the code of {code} was not run; read it, then run it with --trust-code."


def _reproduce(
    cell: PublishedCell, weights: Path | None, ctx: RunContext, folder: Path
) -> CellResult:
    spec = cell.file.cell
    if isinstance(spec, ExternalCell):
        assert weights is not None
        model = rebuild(spec, weights, folder / "model", ctx.dataset)
        return evaluate_external(spec, model, weights.read_bytes(), cell.row, ctx)
    if weights is not None:
        _restore(cell, weights, ctx.store)
    return run_cell(spec, cell.row, ctx)


def _images(board: Leaderboard, data: str | None, data_dir: str | Path | None) -> DataSet:
    dataset = load_dataset(data or board.board.data.name, data_dir)
    wanted = board.cells[0].file.cell.data_hash
    if dataset.fingerprint != wanted:
        raise UserError(
            f"{dataset.name} has the fingerprint {dataset.fingerprint[:16]}, but the board's data "
            f"have {wanted[:16]}; name the same data with --data or --data-dir."
        )
    return dataset


def _restore(cell: PublishedCell, weights: Path, store: RunStore) -> None:
    """Put a cell into a store in its state after training, so that it is only attacked."""
    folder = store.open(cell.file.cell)
    write_bytes(folder.weights, weights.read_bytes())
    write_text(folder.log, pd.DataFrame(cell.training).to_csv(index=False))
    write_json(folder.manifest, cell.manifest | {"outcomes": {}})


def _compared(cell: PublishedCell, found: CellResult) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    for column in found.outcomes:
        before, now = cell.outcomes[column], found.outcomes[column]
        others = int((before.robust != now.robust).sum()) if len(before) == len(now) else len(now)
        lines.append(
            {
                "defense": cell.row,
                "seed": cell.seed,
                "column": column,
                "published": before.accuracy,
                "found": now.accuracy,
                "other_images": others,
                "verdict": _verdict(before, now),
            }
        )
    return lines


def _verdict(before: Outcomes, now: Outcomes) -> str:
    if len(before) == len(now) and np.array_equal(before.robust, now.robust):
        return REPRODUCED
    interval = estimate([before.accuracy], len(before))
    return WITHIN if interval.low <= now.accuracy <= interval.high else NOT
