"""No class may be without gradients, even if most images have one."""

from dataclasses import dataclass

import torch

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count, Share
from robench.checks.probes import margin_gradients
from robench.checks.searches import best_effort, harder


@register_check("zero_gradients_by_class", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class ZeroGradientsByClass(Check):
    """No class has a gradient of zero at most of its images while other classes have gradients.

    Attributes:
        images: smallest number of images of a class that is looked at.
        tolerated: fraction of the images of a class that may have no gradient.
    """

    findings = ("zero_gradients_by_class",)

    images: Count = 3
    tolerated: Share = 0.5

    def run(self, context: CheckContext) -> Finding:
        """Inspect the gradients of the margin, class by class."""
        name = "zero_gradients_by_class"
        labels = context.labels[context.correct]
        if not len(labels):
            reason = "The network gets none of the images right: there is no gradient to look at."
            return Finding(name, None, reason)
        zero = (margin_gradients(context)[0].flatten(1) == 0).all(1)
        present = labels.bincount()
        flat = torch.bincount(labels[zero], minlength=len(present))
        asked = present >= self.images
        bad = (asked & (flat > self.tolerated * present)).nonzero().squeeze(1).tolist()
        if not asked.any():
            sentence = f"No class has {self.images} images that are right."
            return Finding(name, None, sentence)
        if len(bad) == int(asked.sum()):
            sentence = "The gradient is zero or missing in every class, not in some only."
            return Finding(name, None, sentence)
        if not bad:
            sentence = f"In each of {int(asked.sum())} classes most images have a gradient."
            return Finding(name, True, sentence)
        listed = ", ".join(f"{c} ({int(flat[c])} of {int(present[c])})" for c in bad[:5])
        more = ", and others" if len(bad) > 5 else ""
        sentence = (
            f"In {len(bad)} of {int(asked.sum())} classes most images have a gradient of zero or "
            f"none: class {listed}{more}. Attacks see a flat network there."
        )
        return Finding(name, False, sentence, best_effort=best_effort(context, harder))
