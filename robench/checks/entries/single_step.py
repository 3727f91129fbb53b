"""Compare many small steps with one large step (Carlini et al. 2019)."""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.significance import paired
from robench.checks.strength import not_weaker


@register_check("single_step", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class SingleStep(Check):
    """PGD is not weaker than the single step of FGSM in the same ball."""

    findings = ("single_step",)

    def run(self, context: CheckContext) -> Finding:
        """Compare PGD with FGSM."""
        strong, weak = context.run(context.standard(), context.attack("fgsm"))
        compared = [("PGD with 20 steps", "one step of FGSM", paired(strong, weak))]
        return not_weaker("single_step", compared, "many small steps do worse than a large one")
