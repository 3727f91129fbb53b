"""What is made again of a network, kept by everything that it depends on.

Most forgeries leave weights and attacks as they are, so that each verification of them would train,
attack and check the same networks: ten seconds of a trial that takes one without. What a forgery
changed is always computed.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from torch import nn

from robench.board.cells import Cell
from robench.leaderboard.published import PublishedCell
from robench.leaderboard.rerun import cell as rerun_of_cell
from robench.leaderboard.rerun import remake as remaking
from robench.leaderboard.rerun.remake import Remade, remake
from robench.runs.cell import train_cell
from robench.runs.context import RunContext
from robench.runs.records import CellResult
from robench.runs.store import CellFolder
from robench.system.provenance import file_hash

_REMADE: dict[str, Remade] = {}
_TRAINED: dict[str, dict[str, bytes]] = {}


@contextmanager
def kept() -> Iterator[None]:
    """Train, attack and check each network once in this process, within the block."""
    with (
        mock.patch.object(rerun_of_cell, "remake", _remake),
        mock.patch.object(remaking, "train_cell", _train_cell),
    ):
        yield


def _remake(
    cell: PublishedCell, model: nn.Module, source: CellResult | None, ctx: RunContext, batch: int
) -> Remade:
    specs = [cell.file.cell, *([source.evidence.cell] if source else [])]
    weights = [file_hash(ctx.store.open(spec).weights) for spec in specs]
    key = _key(ctx, [spec.model_dump_json() for spec in specs], weights, batch)
    if key not in _REMADE:
        found = remake(cell, model, source, ctx, batch)
        _REMADE[key] = replace(found, outcomes=dict(found.outcomes))  # its files are temporary
    return _REMADE[key]


def _train_cell(
    cell: Cell, folder: CellFolder, ctx: RunContext, *, threads: int | None = None
) -> None:
    key = _key(ctx, cell.model_dump_json(), threads)
    if key not in _TRAINED:
        train_cell(cell, folder, ctx, threads=threads)
        files = [path for path in folder.path.iterdir() if path.is_file()]
        _TRAINED[key] = {path.name: path.read_bytes() for path in files}
    for name, content in _TRAINED[key].items():
        (folder.path / name).write_bytes(content)


def _key(ctx: RunContext, *parts: Any) -> str:
    evaluation = ctx.evaluation.model_dump_json()
    data = [ctx.dataset.name, ctx.dataset.fingerprint]
    return json.dumps([*parts, evaluation, data, str(ctx.device)])
