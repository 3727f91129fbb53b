"""Gradient-free attacks must not find what gradient-based attacks miss (Athalye et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robench import Check, CheckContext, Finding, register_check
from robench.checks import searches
from robench.checks.contract import Share
from robench.checks.gradient_free import MISSED, left_by_gradients, not_stronger
from robench.evaluation import Outcomes
from robench.evaluation.outcomes import Bools


@register_check("black_box", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class BlackBox(Check):
    """Query-based attacks fool no image that gradient-based attacks missed.

    The query-based attacks among the columns count, on the images that they were run on. If none of
    them asks 1000 queries inside the ball on the first 32 images that gradient-based attacks left,
    Square does: enough of both to find most ways into a network that only hides its gradients.

    Attributes:
        missed: fraction of the samples left by gradient-based attacks that they may have missed.
    """

    findings = ("black_box",)

    missed: Share = MISSED

    def run(self, context: CheckContext) -> Finding:
        """Compare query-based with gradient-based attacks."""
        columns = {
            column: (context.in_ball(attack), outcomes)
            for column, (attack, outcomes) in context.columns.items()
            if outcomes.forwards.any() and not outcomes.backwards.any()
        }
        found = self._of_columns(context, columns)
        if not any(
            inside and o.queries.max() >= searches.QUERIES and _on_all_of_square(context, o)
            for inside, o in columns.values()
        ):
            attacked, fooled = searches.square(context)
            words = f"Square with {searches.QUERIES} queries"
            found.append(not_stronger("black_box", context, words, fooled, self.missed, attacked))
        return next((f for f in found if f.passed is False), found[-1])

    def _of_columns(
        self, context: CheckContext, columns: Mapping[str, tuple[bool, Outcomes]]
    ) -> list[Finding]:
        """Return a finding for all columns on equally many images, of those that were attacked.

        A column of another threat model, or of none, counts only if it fooled inside this ball.
        """
        together: dict[int, dict[str, Bools]] = {}
        for column, (inside, outcomes) in columns.items():
            fooled = context.fooled_inside(outcomes)
            if inside or fooled.any():
                count = min(len(outcomes), len(context))
                together.setdefault(count, {})[column] = fooled
        left = left_by_gradients(context)
        found = []
        for count, named in together.items():
            asked = np.arange(len(context)) < count
            if left.any() and not (left & asked).any():
                continue  # it has nothing to say of the images that are left
            fooled = np.logical_or.reduce(list(named.values()))
            words = " and ".join(named)
            found.append(not_stronger("black_box", context, words, fooled, self.missed, asked))
        return found


def _on_all_of_square(context: CheckContext, outcomes: Outcomes) -> bool:
    """Return whether a column was made on all images that Square would be run on."""
    return not searches.of_square(context)[len(outcomes) :].any()
