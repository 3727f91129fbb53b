"""Gradient-free attacks must not find what gradient-based attacks miss (Athalye et al. 2018)."""

from dataclasses import dataclass

import numpy as np

from robench import Check, CheckContext, Finding, register_check
from robench.checks import searches
from robench.checks.contract import Share
from robench.checks.gradient_free import MISSED, not_stronger


@register_check("black_box", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class BlackBox(Check):
    """Query-based attacks fool no image that gradient-based attacks missed.

    The query-based attacks among the columns count. If none of them asks 1000 queries inside the
    ball, Square does, on the first 32 images that gradient-based attacks left: enough of both to
    find most ways into a network that only hides its gradients.

    Attributes:
        missed: fraction of the samples left by gradient-based attacks that they may have missed.
    """

    findings = ("black_box",)

    missed: Share = MISSED

    def run(self, context: CheckContext) -> Finding:
        """Compare query-based with gradient-based attacks."""
        name, found = "black_box", []
        columns = {
            column: (context.in_ball(attack), outcomes, context.fooled_inside(outcomes))
            for column, (attack, outcomes) in context.columns.items()
            if outcomes.forwards.any() and not outcomes.backwards.any()
        }
        # A column of another threat model, or of none, counts only if it fooled inside this ball.
        named = [c for c, (inside, _, fooled) in columns.items() if inside or fooled.any()]
        if named:
            fooled = np.logical_or.reduce([columns[c][2] for c in named])
            found.append(not_stronger(name, context, " and ".join(named), fooled, self.missed))
        if not any(
            inside and o.forwards.max() >= searches.QUERIES for inside, o, _ in columns.values()
        ):
            attacked, fooled = searches.square(context)
            words = f"Square with {searches.QUERIES} queries"
            found.append(not_stronger(name, context, words, fooled, self.missed, attacked))
        return next((f for f in found if f.passed is False), found[-1])
