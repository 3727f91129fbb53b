"""Perturbations must stay inside the ball of their column, and images inside [0, 1]."""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.wording import radius


@register_check("inside_ball")
@dataclass(frozen=True)
class InsideBall(Check):
    """No perturbation is larger than its attack claims.

    The evaluator checks that each image is in [0, 1] when it predicts; in the stored sizes, a pixel
    that changed by more than 1 shows that an image was not.

    Attributes:
        tolerance: allowance for float32 rounding, relative to the radius.
    """

    findings = ("inside_ball",)

    tolerance: float = 1e-5

    def run(self, context: CheckContext) -> Finding:
        """Compare the sizes of all perturbations with the threat models of their attacks."""
        own = ((type(a).__name__, (a, o)) for a, o in context.own)
        seen = [*context.columns.items(), *own]
        count, balls = 0, 0
        for name, (attack, outcomes) in seen:
            attacked = int(outcomes.correct.sum())
            if not attacked:
                continue
            count += attacked
            linf, l2 = float(outcomes.linf.max()), float(outcomes.l2.max())
            if not linf <= 1 + self.tolerance:
                sentence = (
                    f"{name} changes a pixel by {linf:.4g}: its images are outside of [0, 1]."
                )
                return Finding("inside_ball", False, sentence)
            ball = attack.threat_model
            if ball is None or ball[0] not in ("linf", "l2"):
                continue
            balls += 1
            size = linf if ball[0] == "linf" else l2
            if not size <= ball[1] + self.tolerance * max(1.0, ball[1]):
                sentence = f"{name} claims {radius(*ball)} but moves an image by {size:.4g}."
                return Finding("inside_ball", False, sentence)
        if not count:
            sentence = "No image was attacked: there is no perturbation to measure."
            return Finding("inside_ball", None, sentence)
        sentence = (
            f"All {count} perturbations, of {balls} attacks with a ball, keep to it and to [0, 1]."
        )
        return Finding("inside_ball", True, sentence)
