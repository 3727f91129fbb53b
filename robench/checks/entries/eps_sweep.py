"""Accuracy must fall with the radius, and reach zero in a ball that contains every image.

The radii are multiples of the threat model's; at the last, the ball around any image contains all
images. There an attack can produce any image, so a network that still gets more images right than
one that does not look at them hides its gradients from the attack (Athalye et al. 2018).
"""

import itertools
import math
from dataclasses import dataclass

from robench import Attack, Check, CheckContext, Finding, Outcomes, register_check
from robench.checks.context import first
from robench.checks.report import Curve
from robench.checks.significance import LEVEL, at_least, paired
from robench.checks.wording import chance, percent, radius


@register_check("eps_sweep", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class EpsSweep(Check):
    """Accuracy falls with the radius, to that of guessing once the ball contains every image.

    Attributes:
        multiples: radii of the curve in units of the threat model's, in rising order.
    """

    findings = ("eps_curve", "large_eps")

    multiples: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)

    def __post_init__(self) -> None:
        if not all(a < b for a, b in itertools.pairwise((0.0, *self.multiples))):
            raise ValueError("multiples must be positive and in rising order, as in (0.5, 1, 2).")

    def run(self, context: CheckContext) -> list[Finding]:
        """Attack at all radii; store the curve in the context."""
        sizes = self.radii(context)
        attacks = [_attack_at(context, eps) for eps in sizes]
        found = [first(outcomes, len(context)) for outcomes in context.run(*attacks)]
        correct = context.correct.float().mean().item()
        points = zip(sizes, (outcomes.accuracy for outcomes in found), strict=True)
        curve = ((0.0, correct), *points)
        if correct:
            findings = [_falls(context, curve, found), _reaches_all(context, sizes[-1], found[-1])]
        else:
            reason = "The network gets none of the images right: there is nothing to fool."
            findings = [Finding(name, None, reason) for name in self.findings]
        context.curve = curve
        return findings

    def radii(self, context: CheckContext) -> list[float]:
        """Return the radii above 0 in rising order; the last ball contains every image."""
        pixels = math.prod(context.images.shape[1:])
        whole = 1.0 if context.norm == "linf" else math.sqrt(pixels)
        sizes = (multiple * context.eps for multiple in self.multiples)
        return [*(eps for eps in sizes if eps < whole), whole]


def _falls(context: CheckContext, curve: Curve, found: list[Outcomes]) -> Finding:
    """Return ``eps_curve``: no ball leaves more images right than a smaller ball inside it."""
    (_, correct), *points = curve
    steps = [paired(larger, smaller) for smaller, larger in itertools.pairwise(found)]
    at = min(range(len(steps)), key=lambda i: steps[i].p) if steps else 0
    p = min(1.0, steps[at].p * len(steps)) if steps else 1.0
    if p < LEVEL:
        smaller, larger = (radius(context.norm, eps) for eps, _ in points[at : at + 2])
        sentence = (
            f"PGD leaves {percent(steps[at].weak)} at {smaller} but {percent(steps[at].strong)} in "
            f"the larger ball of {larger} ({chance(p)}): the attack loses its way."
        )
        return Finding("eps_curve", False, sentence)
    listed = ", ".join(f"{percent(a)} at {radius(context.norm, e)}" for e, a in points[:-1])
    sentence = f"Accuracy falls with the radius: {percent(correct)} clean, {listed}."
    return Finding("eps_curve", True, sentence)


def _reaches_all(context: CheckContext, whole: float, last: Outcomes) -> Finding:
    """Return ``large_eps``: in the ball that contains every image, accuracy is that of guessing."""
    share = 1 / context.classes
    left, asked = int(last.robust.sum()), int(last.correct.sum())
    p = at_least(left, asked, share)
    # A network that always gives the same class keeps its share of all images, whatever is done.
    blind = p < LEVEL <= at_least(left, len(last), share)
    figures = (
        f"In a ball that holds every image ({radius(context.norm, whole)}) "
        f"PGD leaves {left} of {asked} images right"
    )
    if blind:
        end = f"no more than the {percent(share)} of all {len(last)} that one answer gets right"
    elif p < LEVEL:
        end = f"more than the {percent(share)} of guessing ({chance(p)}): it does not find the way"
    elif not left:
        end = "everything can be reached"
    else:
        end = f"no more than the {percent(share)} of guessing"
    return Finding("large_eps", blind or not p < LEVEL, f"{figures}: {end}.")


def _attack_at(context: CheckContext, eps: float) -> Attack:
    if eps == context.eps:
        return context.standard()
    step = context.step_size * eps / context.eps
    return context.standard(eps=eps, step_size=min(step, 1.0) if context.norm == "linf" else step)
