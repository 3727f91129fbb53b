"""Run one cell: train it unless it is trained, run the missing attacks, store the results."""

from collections.abc import Mapping

import pandas as pd
import torch
from torch import nn

from robench.board.specs import Cell, ExternalCell
from robench.models.checkpoint import Network, load_weights, save_weights
from robench.runs.attack_cell import attack_network, evaluation_images
from robench.runs.context import RunContext, cell_title
from robench.runs.identity import outcome_key, source_of
from robench.runs.records import (
    CellResult,
    Divergence,
    Evidence,
    Manifest,
    OutcomeFiles,
)
from robench.runs.restored import check_restored
from robench.runs.store import CellFolder
from robench.runs.train_cell import fit_cell
from robench.runs.workers import Train, broadcast
from robench.system.files import write_bytes, write_json
from robench.system.json_files import read_json
from robench.system.provenance import code_version, environment, file_hash, peak_memory_mib
from robench.training.loop import TrainingDivergedError
from robench.training.resume import TrainingFiles

FEW = 16
"""Number of images on which the stored network is compared with the trained one."""


def run_cell(cell: Cell, title: str, ctx: RunContext) -> CellResult:
    """Finish a cell and return its result; what is stored is not computed again.

    Raises:
        UserError: if the store cannot be written or another process is working on the cell.
    """
    folder = ctx.store.open(cell)
    with ctx.store.lock(folder):
        if not folder.finished_training:
            ctx.reporter.stage(cell_title(title, cell.seed), "training")
            train_cell(cell, folder, ctx)
        if folder.diverged.exists():
            ctx.reporter.stage(cell_title(title, cell.seed), "diverged")
            return _result(cell, folder, ctx)
        names = ctx.evaluation.columns
        stored = read_json(folder.manifest).get("outcomes", {})
        missing = [name for name in names if not _is_stored(name, stored, folder, ctx)]
        ctx.reporter.stage(cell_title(title, cell.seed), "attacking" if missing else "stored")
        if missing:
            attack_network(network_of(cell, ctx), cell.seed, folder, ctx, missing)
        return _result(cell, folder, ctx)


def _is_stored(
    name: str, stored: Mapping[str, object], folder: CellFolder, ctx: RunContext
) -> bool:
    """Return whether a column's outcomes are stored; a file that was removed is recomputed."""
    key = outcome_key(name, ctx)
    return key in stored and folder.outcomes(key).exists()


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
        return _result(cell, folder, ctx)


def train_cell(cell: Cell, folder: CellFolder, ctx: RunContext) -> None:
    """Train a cell, from its checkpoint if there is one, and store the weights.

    If training diverges, a note of it is stored instead of weights.

    Raises:
        UserError: if the weights do not hold all that was trained.
    """
    files = TrainingFiles(log=folder.log, checkpoint=folder.checkpoint)
    broadcast(Train(cell, files))
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
        folder.checkpoint.unlink(missing_ok=True)
        return
    network = Network.of(cell, ctx.dataset)
    facts = {"cell": cell.key, "dataset": ctx.dataset.name, "seed": cell.seed}
    facts |= {"sources": cell.sources} if cell.sources else {}
    save_weights(folder.weights, model, network, **facts)
    few = evaluation_images(ctx.dataset, min(FEW, len(ctx.dataset.test))).images.float() / 255
    check_restored(model, network_of(cell, ctx), few, cell.defense)
    seconds = sum(epoch.seconds for epoch in epochs)
    write_json(folder.manifest, _provenance(cell, folder, ctx, training_seconds=seconds))
    folder.checkpoint.unlink(missing_ok=True)


def _provenance(
    cell: Cell | ExternalCell, folder: CellFolder, ctx: RunContext, training_seconds: float | None
) -> dict[str, object]:
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
    with torch.random.fork_rng():
        model = load_weights(folder.weights, Network.of(cell, ctx.dataset).build())
    return model.to(ctx.device).to(memory_format=torch.channels_last)


def _result(cell: Cell | ExternalCell, folder: CellFolder, ctx: RunContext) -> CellResult:
    if folder.diverged.exists():
        note = Divergence.model_validate(read_json(folder.diverged))
        return CellResult(Evidence(cell=cell, diverged=note), {})
    keys = {name: outcome_key(name, ctx) for name in ctx.evaluation.columns}
    outcomes = OutcomeFiles({name: folder.outcomes(key) for name, key in keys.items()})
    manifest = read_json(folder.manifest)
    # Outcomes of other boards and earlier versions are stored too, but are not part of this result.
    own = {
        key: manifest["outcomes"][key] | {"column": name, "source": source_of(name)}
        for name, key in keys.items()
    }
    log = pd.read_csv(folder.log) if folder.log.exists() else pd.DataFrame()
    evidence = Evidence(
        cell=cell,
        manifest=Manifest.model_validate(manifest | {"outcomes": own}),
        training=tuple(log.astype(object).where(log.notna(), None).to_dict("records")),
    )
    accuracies = {name: outcomes[name].accuracy for name in outcomes}
    write_json(folder.result, {"accuracy": accuracies})
    return CellResult(evidence, outcomes)
