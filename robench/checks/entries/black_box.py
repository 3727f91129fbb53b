"""Attacks without gradients must not find what those with gradients miss (Athalye et al. 2018)."""

from dataclasses import dataclass

import numpy as np

from robench.checks.context import CheckContext
from robench.checks.contract import Check, Count, Share
from robench.checks.gradient_free import MISSED, not_stronger
from robench.checks.report import Finding
from robench.registry import register_check


@register_check("black_box", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class BlackBox(Check):
    """Searches by queries alone fool no image that gradient attacks missed.

    The columns' own searches count, and Square where none of them keeps to the ball.

    Attributes:
        queries: of Square.
        missed: share of the samples left by gradient attacks that they may have missed.
    """

    findings = ("black_box",)

    queries: Count = 300
    missed: Share = MISSED

    def run(self, context: CheckContext) -> Finding:
        """Compare searches by queries with gradient attacks."""
        columns = {
            name: (attack, outcomes)
            for name, (attack, outcomes) in context.columns.items()
            if outcomes.forwards.any() and not outcomes.backwards.any()
        }
        found = {name: outcomes for name, (_, outcomes) in columns.items()}
        if not any(context.in_ball(attack) for attack, _ in columns.values()):
            norm = "Linf" if context.norm == "linf" else "L2"
            square = context.attack("torchattacks:Square", norm=norm, n_queries=self.queries)
            found[f"Square with {self.queries} queries"] = context.run(square)[0]
        inside = {name: context.fooled_inside(outcomes) for name, outcomes in found.items()}
        # A column of another ball, or of none, is named only where it came inside this one.
        named = [
            name
            for name in inside
            if inside[name].any() or name not in columns or context.in_ball(columns[name][0])
        ]
        fooled = np.logical_or.reduce(list(inside.values()))
        return not_stronger("black_box", context, " and ".join(named), fooled, self.missed)
