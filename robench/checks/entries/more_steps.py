"""Long searches against short ones (Carlini et al. 2019)."""

from dataclasses import dataclass

from robench.checks.context import CheckContext
from robench.checks.contract import Check, Count
from robench.checks.report import Finding
from robench.checks.significance import paired
from robench.checks.strength import column_pairs, not_weaker
from robench.registry import register_check


@register_check("more_steps", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class MoreSteps(Check):
    """More steps are not weaker: those of the columns, and many more.

    Attributes:
        steps: of the longer search; the shorter one has 20.
    """

    findings = ("more_steps",)

    steps: Count = 100

    def run(self, context: CheckContext) -> Finding:
        """Compare columns that differ in steps, and PGD with ``steps`` and with 20."""
        few, many = context.standard(), context.standard(steps=self.steps)
        strong, weak = context.run(many, few)
        compared = [
            *column_pairs(context, "steps", lambda n: f"{n} steps"),
            (f"PGD with {self.steps} steps", "20 steps", paired(strong, weak)),
        ]
        return not_weaker("more_steps", compared, "more steps harm it")
