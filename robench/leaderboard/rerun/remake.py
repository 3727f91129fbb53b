"""Make everything again that was published about a network: outcomes, checks, spectra, costs."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from robench.base import Defense
from robench.board.cells import Cell, ExternalCell
from robench.evaluation import Outcomes
from robench.evaluation.agreement import near
from robench.leaderboard.evidence import WEIGHTS_BYTES
from robench.leaderboard.published import PublishedCell
from robench.models.complexity import Complexity, measure_complexity
from robench.models.frozen import frozen_stats, under_attack
from robench.runs.attack_cell import attack_network, evaluation_images
from robench.runs.cell import FEW, network_of, train_cell
from robench.runs.check_cell import with_checks
from robench.runs.context import RunContext, cell_title
from robench.runs.external_row import rebuild
from robench.runs.identity import outcome_key
from robench.runs.measure_cell import costs_of, measure_rows
from robench.runs.records import (
    CellResult,
    CheckReport,
    LayerSpectrum,
    Manifest,
    OutcomeFiles,
    RowResult,
)
from robench.runs.store import RunStore
from robench.runs.stored import outcome_entry, read_manifest
from robench.system.files import write_bytes, write_json
from robench.system.provenance import file_hash
from robench.system.reading import read_bytes
from robench.system.threads import computing_with, recorded_threads


@dataclass(frozen=True, eq=False)
class Remade:
    """What was made again of a cell.

    Attributes:
        outcomes: column -> outcomes.
        manifest: the provenance of this rerun.
        report: the report of the checks; None if the board has none, or if an earlier version
            made it: its checks were others.
        spectra: the spectra of the layers; empty if the board has none.
        costs: the complexity of the network; None if it could not be measured.
        transferred: whether the network was there whose images are transferred to this one.
        randomized: whether the network draws random numbers in each forward.
    """

    outcomes: Mapping[str, Outcomes]
    manifest: Manifest
    report: CheckReport | None
    spectra: tuple[LayerSpectrum, ...]
    costs: Complexity | None
    transferred: bool
    randomized: bool


def restore(cell: PublishedCell, weights: Path, store: RunStore) -> None:
    """Put a cell's weights into a store, as if they had just been trained."""
    folder = store.open(cell.file.cell)
    write_bytes(folder.weights, read_bytes(weights, longest=WEIGHTS_BYTES))
    write_json(folder.manifest, cell.manifest | {"outcomes": {}})


def network_again(
    cell: PublishedCell, weights: Path | None, code: Path, ctx: RunContext
) -> nn.Module | None:
    """Return the network of a cell, restored from its weights or trained again.

    Args:
        cell: the cell as published.
        weights: its weights; None to train them again.
        code: the folder of the ``.py`` files that build third-party networks.
        ctx: the context of the rerun; its store gets the weights.

    Returns:
        The network; None if its training diverged.
    """
    spec = cell.file.cell
    if weights is not None:
        restore(cell, weights, ctx.store)
        if isinstance(spec, ExternalCell):
            return rebuild(spec, weights, code, ctx.dataset)
        return network_of(spec, ctx)
    assert isinstance(spec, Cell)
    folder = ctx.store.open(spec)
    ctx.reporter.stage(cell_title(cell.row, cell.seed), "training")
    train_cell(spec, folder, ctx, threads=_threads_then(cell), alone=True)
    return None if folder.diverged.exists() else network_of(spec, ctx)


def remake(
    cell: PublishedCell,
    model: nn.Module,
    source: CellResult | None,
    ctx: RunContext,
    batch: int,
) -> Remade:
    """Attack, check and measure a network again.

    Args:
        cell: the cell as published.
        model: its network; its weights are in the store of ``ctx``.
        source: the cell whose adversarial images are transferred to it, with its weights in the
            store; None if there is none.
        ctx: the context of the rerun.
        batch: the number of images in a training batch, whose memory is measured.
    """
    folder = ctx.store.open(cell.file.cell)
    ctx.reporter.stage(cell_title(cell.row, cell.seed), "attacking")
    randomized = _is_randomized(model, ctx)
    attack_network(model, cell.seed, folder, ctx, ctx.evaluation.columns)
    keys = {name: outcome_key(name, ctx) for name in ctx.evaluation.columns}
    outcomes = OutcomeFiles({name: folder.outcomes(key) for name, key in keys.items()})
    manifest = read_manifest(folder)
    entries = [outcome_entry(manifest, key, name) for name, key in keys.items()]
    # The evidence is that which was published: these checks are filed under its hashes.
    published = cell.file.model_copy(update={"checks": None, "spectra": ()})
    result = CellResult(published, outcomes)
    result = with_checks(cell.row, result, source, ctx, model)
    # The last digits of a spectrum depend on the number of threads.
    with computing_with(_threads_then(cell) or torch.get_num_threads()):
        [row] = measure_rows((RowResult(cell.row, cell.file.costs, (result,)),), ctx)
    evidence = row.cells[0].evidence
    return Remade(
        outcomes=outcomes,
        manifest=manifest.published(entries, keys.values()),
        report=evidence.checks,
        spectra=evidence.spectra,
        costs=_complexity(cell, model, batch, ctx),
        transferred=source is not None,
        randomized=randomized,
    )


def has_other_weights(cell: PublishedCell, ctx: RunContext) -> bool:
    """Return whether the weights in the store are not those that the manifest describes."""
    manifest = cell.file.manifest
    weights = ctx.store.open(cell.file.cell).weights
    return manifest is not None and file_hash(weights) != manifest.weights_hash


def _threads_then(cell: PublishedCell) -> int | None:
    """Return the number of threads that a cell was trained and measured with, if it is recorded."""
    manifest = cell.file.manifest
    return None if manifest is None else recorded_threads(manifest.environment)


def _is_randomized(model: nn.Module, ctx: RunContext) -> bool:
    """Return whether two forwards of a network give different logits."""
    sample = evaluation_images(ctx.dataset, min(FEW, len(ctx.dataset.test)))
    model.to(ctx.device)
    images = sample.images.float().to(ctx.device) / 255
    with frozen_stats(model), under_attack(model), torch.no_grad():
        one, two = model(images), model(images)
    return not near(two.float().cpu(), one.float().cpu(), "float32")


def _complexity(
    cell: PublishedCell, model: nn.Module, batch: int, ctx: RunContext
) -> Complexity | None:
    spec = cell.file.cell
    if isinstance(spec, Cell):
        return costs_of(spec, ctx)
    shape = (ctx.dataset.in_channels, *ctx.dataset.image_size)
    images = torch.zeros(batch, *shape, device=ctx.device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measure_complexity(model, Defense(), images)
    except Exception:  # torch's counters may not support the layers of a third-party network
        return None
