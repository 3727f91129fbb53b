"""``robench attack`` on several networks that robench trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from robench.commands.attack import Target, trained_target
from robench.commands.attack_checks import CheckedTarget, attack_timed, check_attacked
from robench.commands.checkpoints import checkpoint_file
from robench.errors import UserError, warnings_about
from robench.evaluation.options import EvaluationOptions
from robench.models.checkpoint import read_network
from robench.runs.store import CellFolder

WEIGHTS = CellFolder(Path()).weights.name
"""The name of the file in a cell's folder, which tells no two networks apart."""


def attack_several(
    checkpoints: Sequence[Path],
    attacks: Sequence[str],
    *,
    defaults: Mapping[str, Any],
    options: EvaluationOptions,
    kept: Path | None = None,
    checks: bool = False,
    **how: Any,
) -> tuple[pd.DataFrame, dict[str, CheckedTarget]]:
    """Attack networks one after the other, each on the same images.

    Args:
        checkpoints: the networks, as for :func:`robench.commands.checkpoints.checkpoint_file`.
        attacks: expressions such as ``pgd-20(eps=4/255)``.
        defaults: options (eps, step_size, norm) of the attacks that do not set them.
        options: seed, batch size, device and so on.
        kept: a folder for what is done so far, so that the same call resumes; the caller removes
            it when the table is stored.
        checks: whether each network is checked after its attacks.
        how: the data set and the number of images; see
            :func:`robench.commands.attack.trained_target`.

    Returns:
        The table of each network, one below the other, with the first columns ``network``,
        ``checkpoint``, ``images`` (the data set and the number of its test images) and
        ``gradients``, their precision; and by network what the checks found, if they were wanted.

    Raises:
        UserError: if a checkpoint is damaged or listed twice, before any is attacked; or if a name
            is unknown, or the data do not fit.
    """
    files = [checkpoint_file(path) for path in checkpoints]
    names = _names(checkpoints, files)
    tables: list[pd.DataFrame] = []
    checked: dict[str, CheckedTarget] = {}
    for target, path, name in zip(_targets(files, how), checkpoints, names, strict=True):
        resume = kept / f"{len(tables)}.npz" if kept else None
        with warnings_about(name):
            attacked = attack_timed(
                target, attacks, defaults=defaults, options=replace(options, resume=resume)
            )
            result, table = attacked.result, attacked.result.table()
            if checks:
                checked[name] = check_attacked(attacked, options)
                table = checked[name].beside(table)
        images = target.title.partition("; ")[2]
        first = {"network": name, "checkpoint": str(path), "images": images}
        first["gradients"] = result.gradients
        tables.append(table.assign(**first))
    whole = pd.concat(tables, ignore_index=True)
    return whole[[*first, *(column for column in whole if column not in first)]], checked


def trained_among(checkpoints: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split the folders of cells, as ``cells/*`` names them, into trained and diverged ones."""
    diverged = [path for path in checkpoints if CellFolder(path).diverged.is_file()]
    return [path for path in checkpoints if path not in diverged], diverged


def _targets(checkpoints: Sequence[Path], how: Mapping[str, Any]) -> Iterator[Target]:
    """Yield the networks one at a time: all of them may not fit into memory."""
    for path in checkpoints:
        yield trained_target(path, **how)


def _names(checkpoints: Sequence[Path], files: Sequence[Path]) -> list[str]:
    """Return what tells the networks apart: defense and seed, and how it was named if need be."""
    found = []
    for path in files:
        network, facts = read_network(path / WEIGHTS if path.is_dir() else path)
        seed = f", seed {facts['seed']}" if "seed" in facts else ""
        found.append(f"{network.defense}{seed}")
    for told_apart_by in (_short, str):
        names = [
            name if found.count(name) == 1 else f"{name} ({told_apart_by(path)})"
            for name, path in zip(found, checkpoints, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    twice = next(path for path in checkpoints if list(checkpoints).count(path) > 1)
    raise UserError(f"the checkpoint {twice} is listed twice; list it once.")


def _short(path: Path) -> str:
    """Return the last part of a name that says something: a folder, a row or a file."""
    return path.parent.name if path.name == WEIGHTS else path.name.removesuffix(".safetensors")
