"""Compare PGD with random noise (Carlini et al. 2019)."""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.significance import paired
from robench.checks.strength import not_weaker


@register_check("noise_floor", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class NoiseFloor(Check):
    """Random noise of the same size is not stronger than PGD."""

    findings = ("noise_floor",)

    def run(self, context: CheckContext) -> Finding:
        """Compare PGD with random noise."""
        strong, weak = context.run(context.standard(), context.attack("noise"))
        compared = [("PGD with 20 steps", "random noise of the same size", paired(strong, weak))]
        return not_weaker("noise_floor", compared, "its gradients say less than chance does")
