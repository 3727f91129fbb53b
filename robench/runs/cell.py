"""Train a cell and store its weights; return its network and its result from the store."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import nn

from robench.board.cells import Cell, ExternalCell
from robench.models.checkpoint import Network, load_weights, save_weights
from robench.runs.attack_cell import attack_network, evaluation_images
from robench.runs.context import RunContext, cell_title
from robench.runs.identity import outcome_key, source_of
from robench.runs.records import CellResult, Evidence, OutcomeFiles
from robench.runs.restored import check_restored
from robench.runs.store import CellFolder
from robench.runs.stored import (
    check_stored,
    outcome_entry,
    read_divergence,
    read_log,
    read_manifest,
)
from robench.runs.threads import multiply_adds_of
from robench.runs.train_cell import fit_cell
from robench.runs.workers import Train, broadcast
from robench.system.files import keep_json, remove, write_bytes, write_json
from robench.system.processes import this_shard
from robench.system.provenance import (
    code_version,
    environment,
    file_hash,
    in_sessions,
    peak_memory_mib,
    timed_on,
)
from robench.system.threads import computing_with, threads_for
from robench.training.loop import TrainingDivergedError
from robench.training.resume import TrainingFiles, sessions_in

FEW = 16
"""Number of images on which the stored network is compared with the trained one."""


def finish_training(cell: Cell, title: str, folder: CellFolder, ctx: RunContext) -> None:
    """Train a cell unless it is trained; hold its lock.

    Raises:
        UserError: if what is stored of it is not what was stored, or cannot be written.
    """
    check_stored(folder, cell)
    if folder.finished_training:
        remove(folder.checkpoint)  # one that was stopped at its very end has left it
    else:
        ctx.reporter.stage(cell_title(title, cell.seed), "training")
        train_cell(cell, folder, ctx, alone=True)


def evaluate_external(
    cell: ExternalCell, model: nn.Module, weights: bytes, title: str, ctx: RunContext
) -> CellResult:
    """Attack a third-party network like those of the board, and return its result.

    Args:
        cell: the specification of the network.
        model: the network with its weights, in eval mode.
        weights: the contents of its safetensors file.
        title: the title of its row.
        ctx: the context of the run; its store gets the outcomes.

    Raises:
        UserError: if the store cannot be written.
    """
    folder = ctx.store.open(cell)
    with ctx.store.lock(folder):
        ctx.reporter.stage(cell_title(title, cell.seed), "attacking")
        write_bytes(folder.weights, weights)
        write_json(folder.manifest, _provenance(cell, folder, ctx, training_seconds=None))
        attack_network(model, cell.seed, folder, ctx, ctx.evaluation.columns)
        return cell_result(cell, folder, ctx)


def train_cell(
    cell: Cell,
    folder: CellFolder,
    ctx: RunContext,
    *,
    threads: int | None = None,
    alone: bool = False,
) -> None:
    """Train a cell, from its checkpoint if there is one, and store the weights.

    If training diverges, a note of it is stored instead of weights.

    Args:
        cell: the specification.
        folder: the folder of the cell; hold its lock.
        ctx: the context of the run.
        threads: the number of threads to train with, on which the weights depend; by default that
            of :func:`robench.system.threads.threads_for`.
        alone: whether the run does nothing else meanwhile, which the manifest then says.

    Raises:
        UserError: if the weights do not hold all that was trained.
    """
    if threads is None:
        threads = threads_for(multiply_adds_of(cell, ctx.dataset), ctx.device)
    with computing_with(threads):
        _train(cell, folder, ctx, alone=alone)


def _train(cell: Cell, folder: CellFolder, ctx: RunContext, *, alone: bool) -> None:
    here = environment(ctx.device) | timed_on(this_shard(), alone=alone)
    sessions = (*sessions_in(folder.checkpoint), here)
    files = TrainingFiles(folder.log, folder.checkpoint, cell.key, sessions)
    broadcast(Train(cell, files, torch.get_num_threads()))
    try:
        model, epochs = fit_cell(
            cell,
            ctx.dataset,
            ctx.device,
            files=files,
            progress=ctx.reporter.update,
        )
    except TrainingDivergedError as diverged:
        note = {"reason": str(diverged), "version": code_version()}
        write_json(folder.diverged, note)
        remove(folder.checkpoint)
        return
    network = Network.of(cell, ctx.dataset)
    facts = {"cell": cell.key, "dataset": ctx.dataset.name, "seed": cell.seed}
    facts |= {"sources": cell.sources} if cell.sources else {}
    save_weights(folder.weights, model, network, **facts)
    few = evaluation_images(ctx.dataset, min(FEW, len(ctx.dataset.test))).images.float() / 255
    check_restored(model, network_of(cell, ctx), few, cell.defense)
    seconds = sum(epoch.seconds for epoch in epochs)
    manifest = _provenance(cell, folder, ctx, training_seconds=seconds)
    manifest["environment"] |= in_sessions(sessions_in(folder.checkpoint))
    write_json(folder.manifest, manifest | {"log_hash": file_hash(folder.log)})
    remove(folder.checkpoint)


def _provenance(
    cell: Cell | ExternalCell, folder: CellFolder, ctx: RunContext, training_seconds: float | None
) -> dict[str, Any]:
    return {
        "specification": cell.key,
        "version": code_version(),
        "environment": environment(ctx.device),
        "data_hash": cell.data_hash,
        "training_seconds": training_seconds,
        "peak_memory_mib": peak_memory_mib(ctx.device),
        "weights_hash": file_hash(folder.weights),
    }


def network_of(cell: Cell | ExternalCell, ctx: RunContext) -> nn.Module:
    """Return the network of a cell that robench trained, ready to be attacked."""
    assert isinstance(cell, Cell)
    folder = CellFolder(ctx.store.root / cell.key)
    with torch.random.fork_rng(devices=[]):
        model = load_weights(folder.weights, Network.of(cell, ctx.dataset).build())
    return model.to(ctx.device).to(memory_format=torch.channels_last)


def cell_result(cell: Cell | ExternalCell, folder: CellFolder, ctx: RunContext) -> CellResult:
    """Return the result of a finished cell from its folder, and note its accuracies there.

    Raises:
        UserError: if a file of it cannot be read, or the note cannot be written.
    """
    if folder.diverged.exists():
        return CellResult(Evidence(cell=cell, diverged=read_divergence(folder)), {})
    found = result_without_log(cell, folder, ctx, ctx.evaluation.columns)
    log = read_log(folder) if isinstance(cell, Cell) else pd.DataFrame()
    training = tuple(log.astype(object).where(log.notna(), None).to_dict("records"))
    accuracies = {name: found.outcomes[name].accuracy for name in found.outcomes}
    keep_json(folder.result, {"accuracy": accuracies})
    return replace(found, evidence=found.evidence.model_copy(update={"training": training}))


def result_without_log(
    cell: Cell | ExternalCell, folder: CellFolder, ctx: RunContext, columns: Iterable[str]
) -> CellResult:
    """Return what the manifest of a trained cell says of columns; nothing is written.

    Raises:
        UserError: if it cannot be read, or lacks a column.
    """
    keys = {name: outcome_key(name, ctx) for name in columns}
    outcomes = OutcomeFiles({name: folder.outcomes(key) for name, key in keys.items()})
    manifest = read_manifest(folder)
    # Outcomes of other boards and earlier versions are stored too, but are not part of this result.
    own = [outcome_entry(manifest, key, name, source_of(name)) for name, key in keys.items()]
    evidence = Evidence(cell=cell, manifest=manifest.published(own, keys.values()))
    return CellResult(evidence, outcomes)
