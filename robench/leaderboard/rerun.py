"""Make rows of a published leaderboard again: attack their weights anew, or train them, too."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from robench.board.specs import Cell, ExternalCell
from robench.data import DataSet, load_dataset
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.statistics import estimate
from robench.runs.cell import RunContext, evaluate_external, run_cell
from robench.runs.external_row import rebuild
from robench.runs.progress import NullReporter, ProgressReporter
from robench.runs.records import CellResult
from robench.runs.store import CellFolder, RunStore
from robench.system.files import write_bytes, write_json, write_text
from robench.system.provenance import file_hash

REPRODUCED, WITHIN, NOT = "reproduced", "within the interval", "not reproduced"
"""What is said of a figure: the same on every image, within its 95% interval, or neither."""


@dataclass(frozen=True, eq=False)
class Rerun:
    """What came out.

    Attributes:
        figures: a line a cell and column: ``defense``, ``seed``, ``column``, ``published`` and
            ``found`` accuracy, ``other_images`` on which the verdict is another, ``verdict``.
        notes: what could not be made again, and weights that are not those of the manifest.
        broken: one of the notes says that something is wrong.
    """

    figures: pd.DataFrame
    notes: tuple[str, ...]
    broken: bool

    @property
    def sound(self) -> bool:
        """Nothing is wrong with what was made again."""
        return not self.broken and not (self.figures["verdict"] == NOT).any()


def rerun(
    board: Leaderboard,
    rows: Sequence[str],
    *,
    stores: Sequence[Path] = (),
    retrain: bool = False,
    data: str | None = None,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
    trust_code: bool = False,
) -> Rerun:
    """Attack the weights of rows again, and compare with what was published.

    Args:
        board: as read.
        rows: their titles.
        stores: run stores whose ``cells`` may hold the weights; also looked for in the board's own
            ``weights`` folder.
        retrain: train the networks again instead.
        data: the data set; that of the board if left out.
        data_dir: where the data set is, or is downloaded to.
        device: where to work; the CPU by default.
        reporter: told how the work goes.
        trust_code: execute the code that came with somebody's own network, where it needs it.

    Raises:
        UserError: where the images are not those of the board, or an entry is not registered.
    """
    cells = [cell for cell in board.cells if cell.row in rows]
    figures: list[dict[str, object]] = []
    notes: list[str] = []
    broken = False
    dataset: DataSet | None = None
    for cell in cells:
        name = f"'{cell.row}', seed {cell.seed}"
        if cell.file.manifest is None and not retrain:
            notes.append(f"{name}: it diverged; only --retrain can make it again.")
            continue
        if (reason := _out_of_reach(cell, retrain, trust_code)) is not None:
            notes.append(f"{name}: {reason}")
            continue
        weights = None if retrain else find_weights(board.folder, cell, stores)
        if weights is None and not retrain:
            notes.append(f"{name}: its weights are not here; --store says where, or --retrain.")
            continue
        if weights and cell.file.manifest and file_hash(weights) != cell.file.manifest.weights_hash:
            notes.append(f"{name}: {weights.name} is not the file that the manifest is of.")
            broken = True
            continue
        dataset = dataset or _images(board, data, data_dir)
        with tempfile.TemporaryDirectory() as scratch:
            ctx = RunContext(
                store=RunStore(Path(scratch)),
                dataset=dataset,
                evaluation=board.board.evaluation,
                device=device or torch.device("cpu"),
                reporter=reporter or NullReporter(),
            )
            found = _made_again(cell, weights, ctx, board.folder)
            if found.diverged != (cell.file.manifest is None):
                notes.append(f"{name}: training {'diverged' if found.diverged else 'ended well'}.")
                broken = True
                continue
            figures += _compared(cell, found)
    columns = ["defense", "seed", "column", "published", "found", "other_images", "verdict"]
    return Rerun(pd.DataFrame(figures, columns=columns), tuple(notes), broken)


def draw_rows(board: Leaderboard, rows: str, seed: int) -> list[str]:
    """Return the titles of ``rows`` rows, drawn at random, in the order of the table.

    Raises:
        UserError: where ``rows`` is neither a number nor ``all``.
    """
    titles = list(dict.fromkeys(cell.row for cell in board.cells))
    if rows == "all":
        return titles
    if not rows.isdecimal():
        raise UserError(f"--rows is '{rows}'; give a number of rows, or 'all'.")
    count = min(int(rows), len(titles))
    drawn = np.random.default_rng(seed).choice(len(titles), size=count, replace=False)
    return [titles[i] for i in sorted(drawn)]


def find_weights(folder: Path, cell: PublishedCell, stores: Sequence[Path]) -> Path | None:
    """Return the file of a cell's weights, or None where there is none."""
    key = cell.file.cell.key
    places = [folder / "weights" / f"{key}.safetensors"]
    places += [CellFolder(store / "cells" / key).weights for store in stores]
    return next((path for path in places if path.is_file()), None)


def _out_of_reach(cell: PublishedCell, retrain: bool, trust_code: bool) -> str | None:
    """Return why a network is not made again, whatever files there are; None where it can be."""
    spec = cell.file.cell
    if isinstance(spec, Cell):
        return None
    if retrain:
        return "it is somebody's own network, which robench cannot train."
    if spec.of_library or trust_code:
        return None
    code = f"model/{spec.file}" if spec.file else spec.architecture.partition(":")[0]
    return f"the code of {code} was not run; read it, and --trust-code runs it."


def _made_again(
    cell: PublishedCell, weights: Path | None, ctx: RunContext, folder: Path
) -> CellResult:
    spec = cell.file.cell
    if isinstance(spec, ExternalCell):
        assert weights is not None
        model = rebuild(spec, weights, folder / "model", ctx.dataset)
        return evaluate_external(spec, model, weights.read_bytes(), cell.row, ctx)
    if weights is not None:
        _lay_out(cell, weights, ctx.store)
    return run_cell(spec, cell.row, ctx)


def _images(board: Leaderboard, data: str | None, data_dir: Path | None) -> DataSet:
    dataset = load_dataset(data or board.board.data.name, data_dir)
    wanted = board.cells[0].file.cell.data_hash
    if dataset.fingerprint != wanted:
        raise UserError(
            f"{dataset.name} has the fingerprint {dataset.fingerprint[:16]}, the board's have "
            f"{wanted[:16]}; name the same ones with --data or --data-dir."
        )
    return dataset


def _lay_out(cell: PublishedCell, weights: Path, store: RunStore) -> None:
    """Put a cell into a store as it is after training, so that it is only attacked."""
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
