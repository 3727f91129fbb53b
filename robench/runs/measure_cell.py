"""The spectra of a finished cell's layers: computed once, stored next to its weights."""

import math
from dataclasses import replace
from typing import Any

from robench.board.specs import ExternalCell
from robench.diagnostics import spectra
from robench.runs.cell import network_of
from robench.runs.context import RunContext, cell_title
from robench.runs.records import CellResult, LayerSpectrum, RowResult
from robench.runs.stored import read_or_none
from robench.system.files import write_json
from robench.system.json_files import read_json

VERSION = 1
"""Part of the name of a stored file; raised when the definition of its figures changes."""


def measure_rows(rows: tuple[RowResult, ...], ctx: RunContext) -> tuple[RowResult, ...]:
    """Return the rows with the spectra of their networks, if the board asks for them."""
    if not ctx.evaluation.spectra:
        return rows
    return tuple(
        replace(row, cells=tuple(_measured(row.title, cell, ctx) for cell in row.cells))
        for row in rows
    )


def _measured(title: str, cell: CellResult, ctx: RunContext) -> CellResult:
    spec = cell.evidence.cell
    if cell.diverged or isinstance(spec, ExternalCell):
        return cell
    folder = ctx.store.open(spec)
    path = folder.path / f"spectra-{VERSION}.json"
    with ctx.store.lock(folder):
        found = read_or_none(path, _layers)
        if found is None:
            ctx.reporter.stage(cell_title(title, cell.seed), "measuring")
            size = (ctx.dataset.in_channels, *ctx.dataset.image_size)
            table = spectra(network_of(spec, ctx), size, progress=ctx.reporter.update)
            known = table[list(LayerSpectrum.model_fields)].to_dict("records")
            write_json(path, [{k: _plain(v) for k, v in row.items()} for row in known])
            found = _layers(read_json(path))
    return replace(cell, evidence=cell.evidence.model_copy(update={"spectra": found}))


def _layers(values: Any) -> tuple[LayerSpectrum, ...]:
    return tuple(LayerSpectrum.model_validate(row) for row in values)


def _plain(value: object) -> object:
    """Round a figure to six digits for JSON; None if it is not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
