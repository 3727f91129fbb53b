"""Attacks without gradients must not find what those with gradients miss (Athalye et al. 2018)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor, nn

from robench.base import Adversarial, Attack, LogitsModel, ThreatModel
from robench.checks.context import CheckContext, fooled_inside
from robench.checks.report import Finding
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, radius, some
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.models.frozen import frozen_stats, placed, under_attack

QUERIES = 300
"""Of the checks' own search without gradients."""

MISSED = 0.02
"""Share of the samples left by the white box that it may have missed by bad luck: a search that
ends at its last iterate and starts at a few points is not perfect either."""


def black_box(context: CheckContext) -> Finding:
    """Searches by queries alone: the board's own, and Square where none keeps to the ball."""
    columns = {
        name: (attack, outcomes)
        for name, (attack, outcomes) in context.board.items()
        if outcomes.forwards.any() and not outcomes.backwards.any()
    }
    found = {name: outcomes for name, (_, outcomes) in columns.items()}
    if not any(context.in_ball(attack) for attack, _ in columns.values()):
        norm = "Linf" if context.norm == "linf" else "L2"
        square = context.attack("torchattacks:Square", norm=norm, n_queries=QUERIES)
        found[f"Square with {QUERIES} queries"] = context.run(square)[0]
    inside = {
        name: fooled_inside(outcomes, context.norm, context.eps, len(context))
        for name, outcomes in found.items()
    }
    # A column that keeps to no ball, or to another, is told only where it came inside this one.
    told = [
        n for n in inside if inside[n].any() or n not in columns or context.in_ball(columns[n][0])
    ]
    fooled = np.logical_or.reduce(list(inside.values()))
    return _not_stronger("black_box", context, " and ".join(told), fooled)


def transfer(context: CheckContext, source: nn.Module | None) -> Finding:
    """Perturbations made on another network, by the standard attack, tried on this one."""
    if source is None or source is context.model:
        why = (
            "No other network was given" if source is None else "It is the reference network itself"
        )
        return Finding("transfer", None, f"{why}: nothing could be transferred to it.")
    outcomes = context.run(Transferred(source, context.standard()))[0]
    fooled = fooled_inside(outcomes, context.norm, context.eps, len(context))
    return _not_stronger("transfer", context, "PGD on another network", fooled)


@dataclass(frozen=True, eq=False)
class Transferred(Attack):
    """An attack that searches on another network and never asks the one that is judged.

    Attributes:
        source: images in [0, 1] -> logits; left as it is.
        search: the attack on it.
    """

    source: nn.Module = field(repr=False)
    search: Attack

    @property
    def threat_model(self) -> ThreatModel | None:
        """That of the search."""
        return self.search.threat_model

    def perturb(
        self, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
    ) -> Adversarial:
        """Search on the source; nothing is asked of ``model``."""
        source = self.source
        with placed(source, images.device), frozen_stats(source), under_attack(source):
            found = self.search.perturb(source, images, labels, rngs).images
        none = torch.zeros(len(images), dtype=torch.int64)
        return Adversarial(found, none, none, none)


def _white_box(context: CheckContext) -> list[Outcomes]:
    """Return all gradient attacks in the ball; none where the network has no gradient.

    The margin is climbed too, since searches by queries do: what only the loss makes is no sign of
    hidden gradients. (On an adversarially trained ResNet-18 of CIFAR-10, Square fools 13 of 265
    images that PGD-20 on the cross-entropy left, and none of those that it left on the margin.)
    """
    with suppress(UserError):
        context.run(context.standard(), context.standard(loss="margin"))
    return context.white_box


def _not_stronger(
    check: str,
    context: CheckContext,
    name: str,
    fooled: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
) -> Finding:
    """Judge what was fooled without gradients on the samples that no gradient attack fooled."""
    left = context.correct.numpy().copy()
    for outcomes in _white_box(context):
        left &= outcomes.robust[: len(context)]
    missed, trials = int((fooled & left).sum()), int(left.sum())
    if not trials:
        sentence = f"The white-box attacks fool every image: there is nothing left for {name}."
        return Finding(check, True, sentence)
    p = at_least(missed, trials, MISSED)
    figures = (
        f"{name} fools {missed} of the {some(trials, 'image')} that no white-box attack fooled "
        f"({radius(context.norm, context.eps)})"
    )
    if p < LEVEL:
        end = f"more than the {100 * MISSED:.0f}% that bad luck explains ({chance(p)})"
        return Finding(check, False, f"{figures}, {end}: gradients do not lead where a way exists.")
    return Finding(check, True, f"{figures}: no more than bad luck explains.")
