"""The probability of the true class must not round to 1 where that misleads attacks.

From a margin of about 17 logits on, the softmax is exactly 1 in float32. An attack that only sees
probabilities is then blind, and the gradient of the cross-entropy has lost the true class's share.
A network that was trained well is that sure of many of its images and hides nothing: attacks on the
logits fool it all the same. So the check fails only if, on these images, the cross-entropy also
misses what the margin finds; the difference is what the saturation hides.
"""

from dataclasses import dataclass

import numpy as np

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Share
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, percent


@register_check("saturated_probability", reference="arXiv:1608.04644")
@dataclass(frozen=True)
class SaturatedProbability(Check):
    """Where the softmax is 1, the cross-entropy finds what the margin finds.

    Attributes:
        tolerated: fraction of images whose probability may be 1: at most this fraction can seem
            robust for that reason alone.
    """

    findings = ("saturated_probability",)

    tolerated: Share = 0.05

    def run(self, context: CheckContext) -> Finding:
        """Compare PGD on the cross-entropy with PGD on the margin where the softmax is 1."""
        name = "saturated_probability"
        right = context.correct
        if not right.any():
            sentence = "The network gets none of the images right: no class is the true one."
            return Finding(name, None, sentence)
        probability = context.logits(context.images).softmax(1)
        true = probability.gather(1, context.labels.unsqueeze(1)).squeeze(1)
        sure = (right & (true == 1)).numpy()
        count, asked = int(sure.sum()), int(right.sum())
        figures = (
            f"On {count} of {asked} images ({percent(count / asked)}) the probability of the true "
            f"class is exactly 1 in float32"
        )
        if count <= self.tolerated * asked:
            return Finding(name, True, f"{figures}.")
        entropy, margin = context.run(context.standard(), context.standard(loss="margin"))
        by_entropy, by_margin = (o.robust[: len(context)] & sure for o in (entropy, margin))
        only_margin, only_entropy = (
            int(np.sum(one & ~other))
            for one, other in ((by_entropy, by_margin), (by_margin, by_entropy))
        )
        p = at_least(only_margin, only_margin + only_entropy, 0.5)
        figures += (
            f"; of these, PGD on the cross-entropy leaves {int(by_entropy.sum())} right and PGD on "
            f"the margin {int(by_margin.sum())}"
        )
        gap = int(by_entropy.sum()) - int(by_margin.sum())
        if p < LEVEL and gap > self.tolerated * asked:
            effort = context.best_effort(margin.robust[: len(context)])
            end = f"the saturation hides the difference ({chance(p)})"
            return Finding(name, False, f"{figures}: {end}.", best_effort=effort)
        return Finding(name, True, f"{figures}: no more than chance explains.")
