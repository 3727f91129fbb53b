"""A picture of a few clean and adversarial images of a cell, for trackers that show pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from robench.base import Attack
from robench.board.cells import Cell
from robench.diagnostics.gallery import Gallery, ImageColumn, draw_gallery
from robench.evaluation.adversarial import adversarial_images
from robench.evaluation.notices import without_notices
from robench.evaluation.options import EvaluationOptions
from robench.runs.attack_cell import evaluation_images
from robench.runs.cell import network_of
from robench.runs.context import RunContext
from robench.runs.effort import Effort

IMAGES = 8

LONGEST = 100.0
"""Largest number of steps per image: outcomes hold no images, so the attack is run once more."""


def draw_cell(cell: Cell, ctx: RunContext, path: Path) -> bool:
    """Draw test images of a finished cell, and what the board's main attack makes of them.

    It runs on the CPU, where the run has no device, too.

    Args:
        cell: the specification; the store has its weights.
        ctx: the context of the run.
        path: a ``.png`` file.

    Returns:
        Whether something was drawn: not if that attack takes long or is a certificate, or the
        images have neither one nor three channels.
    """
    column = ctx.evaluation.main_column
    attack = ctx.attacks.get(column)
    if attack is None or attack.proves or ctx.dataset.in_channels not in (1, 3):
        return False
    if not _is_quick(attack):
        return False
    here = replace(ctx, device=torch.device("cpu"))
    sample = evaluation_images(ctx.dataset, min(IMAGES, ctx.evaluation.samples))
    options = EvaluationOptions(cell.seed, ctx.evaluation.batch_size, ctx.evaluation.without, "cpu")
    with without_notices():
        evaluation, seen = adversarial_images(
            network_of(cell, here), sample.images, sample.labels, {column: attack}, options=options
        )
    count = len(evaluation.attacks[column])
    seen_classes = max(int(sample.labels.max()) + 1, seen["clean"].logits.shape[1])
    known = ctx.dataset.classes
    norm: Literal["linf", "l2"] = "linf"
    if attack.threat_model is not None and attack.threat_model.norm == "l2":
        norm = "l2"
    clean, adversarial = (seen[name] for name in ("clean", column))
    gallery = Gallery(
        labels=sample.labels[:count],
        clean=ImageColumn("clean", clean.images[:count], clean.logits[:count]),
        attacks=(ImageColumn(column, adversarial.images, adversarial.logits, norm),),
        classes=known if len(known) >= seen_classes else tuple(map(str, range(seen_classes))),
        caption=f"{cell.defense}, seed {cell.seed}: {count} test images.",
    )
    draw_gallery(gallery, path)
    return True


def _is_quick(attack: Attack) -> bool:
    return Effort(1, 1).attacking(attack, 1) <= LONGEST
