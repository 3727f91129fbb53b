"""The spectra of a finished cell's layers, stored next to its weights, and its network's costs."""

import math
from dataclasses import replace
from typing import Any

import torch
from pydantic import ValidationError

from robench.board.cells import Cell, ExternalCell
from robench.diagnostics import spectra
from robench.models.checkpoint import Network
from robench.models.complexity import Complexity, measure_complexity
from robench.registry import defenses
from robench.runs.cell import network_of
from robench.runs.context import RunContext, cell_title
from robench.runs.records import CellResult, LayerSpectrum, RowResult
from robench.runs.reports import read_report, write_report
from robench.runs.train_cell import minibatch_of
from robench.system.json_files import read_json

VERSION = 1
"""Part of the name of a stored file; raised when the definition of its figures changes."""

Layers = tuple[LayerSpectrum, ...]
"""The spectra of a network's layers."""


def costs_of(cell: Cell, ctx: RunContext) -> Complexity:
    """Measure the complexity of a cell's network, with fresh weights: it does not depend on them.

    Raises:
        UserError: if the network cannot be built.
    """
    with torch.random.fork_rng(devices=[]):
        model = Network.of(cell, ctx.dataset).build()
    shape = (ctx.dataset.in_channels, *ctx.dataset.image_size)
    batch = minibatch_of(cell.data, cell.training.batch_size, ctx.dataset)
    return measure_complexity(
        model.to(ctx.device).to(memory_format=torch.channels_last),
        defenses.build(cell.defense),
        torch.zeros(batch, *shape, device=ctx.device),
        precision=cell.training.precision,
    )


def measure_rows(rows: tuple[RowResult, ...], ctx: RunContext) -> tuple[RowResult, ...]:
    """Return the rows with the spectra of their networks, if the board asks for them."""
    return tuple(
        replace(row, cells=tuple(_measured(row.title, cell, ctx) for cell in row.cells))
        for row in rows
    )


def _measured(title: str, cell: CellResult, ctx: RunContext) -> CellResult:
    spec = cell.evidence.cell
    if not wants_spectra(cell, ctx):
        return cell
    assert isinstance(spec, Cell)
    with ctx.store.lock(ctx.store.open(spec)):
        layers = stored_layers(spec, ctx)
        if layers is None:
            ctx.reporter.stage(cell_title(title, cell.seed), "measuring")
            layers = measure_layers(spec, ctx)
    return measured(cell, layers)


def wants_spectra(cell: CellResult, ctx: RunContext) -> bool:
    """Return whether the layers of a cell are to be measured."""
    spec = cell.evidence.cell
    return ctx.evaluation.spectra and not cell.diverged and not isinstance(spec, ExternalCell)


def stored_layers(cell: Cell, ctx: RunContext) -> Layers | None:
    """Return the stored spectra of a cell, or None; hold its lock."""
    folder = ctx.store.open(cell)
    return read_report(folder, folder.spectra(VERSION), _layers)


def measure_layers(cell: Cell, ctx: RunContext) -> Layers:
    """Measure the spectra of a cell's layers and store them; hold its lock."""
    folder = ctx.store.open(cell)
    path = folder.spectra(VERSION)
    size = (ctx.dataset.in_channels, *ctx.dataset.image_size)
    table = spectra(network_of(cell, ctx), size, progress=ctx.reporter.update)
    known = table[list(LayerSpectrum.model_fields)].to_dict("records")
    write_report(folder, path, [{k: _plain(v) for k, v in row.items()} for row in known])
    return _layers(read_json(path))


def measured(cell: CellResult, layers: Layers) -> CellResult:
    """Return a cell with the spectra of its layers."""
    return replace(cell, evidence=cell.evidence.model_copy(update={"spectra": layers}))


def _layers(values: Any) -> Layers:
    if not isinstance(values, list):
        raise ValueError("is not a list of layers")
    if not values:
        raise ValueError("has no rows")
    try:
        layers = tuple(LayerSpectrum.model_validate(row) for row in values)
    except ValidationError:
        raise ValueError("is not a list of layers") from None
    if len({(row.layer, row.operator) for row in layers}) != len(layers):
        raise ValueError("has a layer twice")
    return layers


def _plain(value: object) -> object:
    """Round a figure to six digits for JSON; None if it is not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
