"""Gradient-free attacks must not find what gradient-based attacks miss (Athalye et al. 2018)."""

from dataclasses import dataclass

import numpy as np

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count, Share
from robench.checks.gradient_free import MISSED, not_stronger


@register_check("black_box", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class BlackBox(Check):
    """Query-based attacks fool no image that gradient-based attacks missed.

    The query-based attacks among the columns count; Square is run if none of them keeps to the
    ball.

    Attributes:
        queries: number of queries of Square.
        missed: fraction of the samples left by gradient-based attacks that they may have missed.
    """

    findings = ("black_box",)

    queries: Count = 300
    missed: Share = MISSED

    def run(self, context: CheckContext) -> Finding:
        """Compare query-based with gradient-based attacks."""
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
        # A column of another threat model, or of none, is named only if it fooled inside this ball.
        named = [
            name
            for name in inside
            if inside[name].any() or name not in columns or context.in_ball(columns[name][0])
        ]
        fooled = np.logical_or.reduce(list(inside.values()))
        return not_stronger("black_box", context, " and ".join(named), fooled, self.missed)
