"""Compare several restarts with one (Carlini et al. 2019)."""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count
from robench.checks.significance import paired
from robench.checks.strength import column_pairs, not_weaker


@register_check("more_restarts", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class MoreRestarts(Check):
    """An attack with several restarts is not weaker than with one start.

    Attributes:
        restarts: number of random starts of the stronger attack.
    """

    findings = ("more_restarts",)

    restarts: Count = 5

    def run(self, context: CheckContext) -> Finding:
        """Compare columns that differ in restarts, and PGD from ``restarts`` starts and one."""
        several, one = context.standard(restarts=self.restarts), context.standard()
        strong, weak = context.run(several, one)
        compared = [
            *column_pairs(context, "restarts", lambda n: f"{n} starts"),
            (f"PGD from {self.restarts} random starts", "one start", paired(strong, weak)),
        ]
        return not_weaker("more_restarts", compared, "more starts harm it")
