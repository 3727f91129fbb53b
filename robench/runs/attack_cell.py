"""Attack a cell's network on the test images and store the outcomes in its folder."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from robench.base import Attack
from robench.data import DataSet, Images, ImageStream, balanced_sample
from robench.evaluation import Outcomes, evaluate, group_by_search
from robench.evaluation.notices import without_notices
from robench.evaluation.partial import remove
from robench.runs.context import RunContext
from robench.runs.identity import library_of, outcome_key
from robench.runs.store import CellFolder
from robench.runs.stored import read_manifest
from robench.system.files import write_json
from robench.system.provenance import code_version, file_hash, peak_memory_mib

LONGEST = 500
"""Characters of the sentence why nothing is proved of a network."""


def evaluation_images(dataset: DataSet, samples: int) -> Images:
    """Return the class-balanced test images that every cell is evaluated on."""
    if isinstance(dataset.test, ImageStream):
        return dataset.test.to_images(samples, 0)
    return balanced_sample(dataset.test, samples)


@dataclass(frozen=True)
class Attacked:
    """What a group of attacks adds to the manifest of a cell.

    Attributes:
        entries: key of the outcomes -> their provenance.
        peak_memory_mib: the peak of the process that attacked.
    """

    entries: Mapping[str, dict[str, Any]]
    peak_memory_mib: int


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
    for group in groups_of(missing, ctx.attacks):
        add_outcomes(folder, attack_columns(model, seed, folder, ctx, group))
    remove_unfinished(folder)


def attack_columns(
    model: nn.Module, seed: int, folder: CellFolder, ctx: RunContext, group: Sequence[str]
) -> Attacked:
    """Compute the columns of one group and store their outcomes, but not yet their provenance.

    The arguments are those of :func:`attack_network`, and one of its groups.
    """
    model.to(ctx.device).to(memory_format=torch.channels_last)
    sample = evaluation_images(ctx.dataset, ctx.evaluation.samples)
    kept = None if list(group) == ["clean"] else folder.partial(outcome_key(group[0], ctx))
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
    entries: dict[str, dict[str, Any]] = {}
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
        if library := library_of(name):
            entries[path.stem]["library"] = library
        if evaluation.refused:
            entries[path.stem]["refused"] = dict(evaluation.refused)
        if proven := evaluation.certificates.get(name):
            found = {"lipschitz": proven.lipschitz, "unproved": proven.unproved[:LONGEST]}
            entries[path.stem] |= {k: v for k, v in found.items() if v not in (None, "")}
    peak = max(peak_memory_mib(ctx.device), evaluation.earlier.peak_memory_mib)
    return Attacked(entries, peak)


def add_outcomes(folder: CellFolder, attacked: Attacked) -> None:
    """Add what a group of attacks has stored to the manifest; what it kept meanwhile is removed.

    Raises:
        UserError: if the manifest cannot be written.
    """
    manifest = read_manifest(folder)
    entries = {**manifest.outcomes, **attacked.entries}
    peak = max(manifest.peak_memory_mib, attacked.peak_memory_mib)
    updated = manifest.model_copy(update={"outcomes": entries, "peak_memory_mib": peak})
    write_json(folder.manifest, updated.model_dump(mode="json"))
    for key in attacked.entries:
        remove(folder.partial(key))


def remove_unfinished(folder: CellFolder) -> None:
    """Remove what attacks have kept whose outcomes are stored meanwhile; hold the cell's lock.

    What those of other boards have kept stays for them.
    """
    stored = read_manifest(folder).outcomes
    for path in folder.unfinished.glob("*.npz"):
        if path.stem in stored:
            remove(path)
    with suppress(OSError):  # there is something left in it, or it is gone
        folder.unfinished.rmdir()


def groups_of(names: Sequence[str], attacks: Mapping[str, Attack]) -> list[list[str]]:
    """Group the columns that share one search; each group is stored when it is done."""
    clean = [[name] for name in names if name == "clean"]
    groups = group_by_search({name: attacks[name] for name in names if name != "clean"})
    return [*clean, *(list(group) for group in groups)]
