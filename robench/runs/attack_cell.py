"""Attack a cell's network on the test images and store the outcomes in its folder."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from robench.base import Attack
from robench.data import DataSet, Images, ImageStream, balanced_sample
from robench.evaluation import Outcomes, evaluate, group_by_search
from robench.evaluation.notices import without_notices
from robench.evaluation.partial import remove
from robench.runs.context import RunContext
from robench.runs.identity import outcome_key
from robench.runs.store import CellFolder
from robench.runs.stored import read_manifest
from robench.system.files import write_json
from robench.system.provenance import code_version, file_hash, peak_memory_mib


def evaluation_images(dataset: DataSet, samples: int) -> Images:
    """Return the class-balanced test images that every cell is evaluated on."""
    if isinstance(dataset.test, ImageStream):
        return dataset.test.to_images(samples, 0)
    return balanced_sample(dataset.test, samples)


def attack_network(
    model: nn.Module, seed: int, folder: CellFolder, ctx: RunContext, missing: Sequence[str]
) -> None:
    """Attack a network, and store the outcomes and their provenance in its folder.

    Args:
        model: images in [0, 1] -> logits.
        seed: the seed of the attacks.
        folder: the folder of the cell, with a manifest.
        ctx: the context of the run.
        missing: the columns to compute.
    """
    model.to(ctx.device).to(memory_format=torch.channels_last)
    sample = evaluation_images(ctx.dataset, ctx.evaluation.samples)
    manifest = read_manifest(folder)
    entries = dict(manifest.outcomes)
    peak = manifest.peak_memory_mib
    for group in _groups(missing, ctx.attacks):
        kept = None if group == ["clean"] else folder.partial(outcome_key(group[0], ctx))
        start = time.perf_counter()
        with without_notices():  # the checks of the cell look at its gradients
            evaluation = evaluate(
                model,
                sample.images,
                sample.labels,
                {name: ctx.attacks[name] for name in group if name != "clean"},
                options=replace(ctx.evaluation_options(seed), resume=kept),
            )
        seconds = time.perf_counter() - start + evaluation.earlier.seconds
        for name in group:
            if name == "clean":
                outcomes = Outcomes.without_attack(evaluation.clean)
            else:
                outcomes = evaluation.attacks[name]
            path = folder.outcomes(outcome_key(name, ctx))
            outcomes.save(path)
            entries[path.stem] = {
                "outcomes_hash": file_hash(path),
                "seconds_of_group": seconds,
                "gradients": evaluation.gradients,
                "version": code_version(),
            }
            if evaluation.refused:
                entries[path.stem]["refused"] = dict(evaluation.refused)
        peak = max(peak, peak_memory_mib(ctx.device), evaluation.earlier.peak_memory_mib)
        updated = manifest.model_copy(update={"outcomes": entries, "peak_memory_mib": peak})
        write_json(folder.manifest, updated.model_dump(mode="json"))
        if kept is not None:
            remove(kept)
    shutil.rmtree(folder.unfinished, ignore_errors=True)  # what other boards have left


def _groups(names: Sequence[str], attacks: Mapping[str, Attack]) -> list[list[str]]:
    """Group the columns that share one search; each group is stored when it is done."""
    clean = [[name] for name in names if name == "clean"]
    groups = group_by_search({name: attacks[name] for name in names if name != "clean"})
    return [*clean, *(list(group) for group in groups)]
