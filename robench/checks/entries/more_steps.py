"""Compare many steps with few (Carlini et al. 2019)."""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count
from robench.checks.significance import paired
from robench.checks.strength import column_pairs, not_weaker


@register_check("more_steps", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class MoreSteps(Check):
    """An attack with more steps is not weaker: among the columns, and with many steps of PGD.

    Attributes:
        steps: number of steps of the longer attack; the shorter one has 20.
    """

    findings = ("more_steps",)

    steps: Count = 100

    def run(self, context: CheckContext) -> Finding:
        """Compare columns that differ in steps, and PGD with ``steps`` steps and with 20."""
        few, many = context.standard(), context.standard(steps=self.steps)
        strong, weak = context.run(many, few)
        compared = [
            *column_pairs(context, "steps", lambda n: f"{n} steps"),
            (f"PGD with {self.steps} steps", "20 steps", paired(strong, weak)),
        ]
        return not_weaker("more_steps", compared, "more steps harm it")
