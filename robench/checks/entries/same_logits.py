"""The same image must get the same logits every time."""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.determinism import ROUNDING, distance
from robench.checks.wording import percent


@register_check("same_logits")
@dataclass(frozen=True)
class SameLogits(Check):
    """Two forwards in eval mode agree; attacks on a randomized network need averaging.

    Attributes:
        tolerance: how much logits may differ, relative to their spread.
    """

    findings = ("same_logits",)

    tolerance: float = ROUNDING

    def run(self, context: CheckContext) -> Finding:
        """Compare two forwards of the same images."""
        one, two = context.logits(context.images), context.logits(context.images)
        moved = distance(one, two)
        if moved <= self.tolerance:
            sentence = "Two forwards in eval mode give the same logits."
            return Finding("same_logits", True, sentence)
        changed = (one.argmax(1) != two.argmax(1)).float().mean().item()
        return Finding(
            "same_logits",
            False,
            f"Two forwards of the same images differ by {percent(moved)} of the spread of the "
            f"logits, and {percent(changed)} of the verdicts change: the network is random, and "
            f"attacks that ask once are not to be believed.",
        )
