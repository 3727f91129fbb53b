"""The cross-entropy must not hide what another loss finds (Carlini and Wagner 2017).

The gradient of the cross-entropy is a mean over all other classes. Where their logits are close to
one another, as in networks of small gradients, it leads between the classes instead of into the
nearest. The margin follows one class, and takes as many steps.
"""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Share
from robench.checks.significance import LEVEL, paired
from robench.checks.wording import chance, percent, some


@register_check("other_loss", reference="arXiv:1608.04644")
@dataclass(frozen=True)
class OtherLoss(Check):
    """PGD on the margin does not leave far fewer images than PGD on the cross-entropy.

    Attributes:
        points: difference of the two accuracies up to which either loss will do: on networks that
            were trained against attacks, one to three points are usual.
    """

    findings = ("other_loss",)

    points: Share = 0.08

    def run(self, context: CheckContext) -> Finding:
        """Compare the two losses."""
        entropy, margin = context.run(context.standard(), context.standard(loss="margin"))
        found = paired(entropy, margin)
        figures = (
            f"PGD with 20 steps leaves {percent(found.strong)} of {some(found.samples, 'image')} "
            f"on the cross-entropy and {percent(found.weak)} on the margin"
        )
        if found.strong - found.weak > self.points + 1e-9 and found.p < LEVEL:
            only = (
                f"{found.only_weak} are fooled by the latter alone, {found.only_strong} by the "
                f"former; {chance(found.p)}"
            )
            end = "the cross-entropy does not lead into the nearest class"
            effort = context.best_effort(margin.robust[: len(context)])
            return Finding("other_loss", False, f"{figures} ({only}): {end}.", best_effort=effort)
        far = f"{100 * self.points:.0f} points or less apart, or by chance"
        return Finding("other_loss", True, f"{figures}: {far}.")
