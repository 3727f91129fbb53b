"""Accuracy against the radius of the ball: it falls, and in a ball that holds everything, to zero.

The radii are multiples of the board's; the last is the ball around every image that holds all
images. There an attack may write any image it likes, so a network that still gets more right than
one that does not look at the image hides its gradients from the attack (Athalye et al. 2018).
"""

import itertools
import math

from robench.base import Attack
from robench.checks.context import CheckContext, first
from robench.checks.report import Finding
from robench.checks.significance import LEVEL, at_least, paired
from robench.checks.wording import chance, percent, radius

MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Radii of the curve, in units of the board's."""


def radii(context: CheckContext) -> list[float]:
    """Return the radii above 0, rising; the last holds everything."""
    pixels = math.prod(context.images.shape[1:])
    whole = 1.0 if context.norm == "linf" else math.sqrt(pixels)
    return [*(m * context.eps for m in MULTIPLES if m * context.eps < whole), whole]


def eps_sweep(context: CheckContext) -> tuple[list[Finding], tuple[tuple[float, float], ...]]:
    """Return the findings ``eps_curve`` and ``large_eps``, and the curve itself."""
    sizes = radii(context)
    found = [first(o, len(context)) for o in context.run(*(_attack_at(context, e) for e in sizes))]
    correct = context.correct.float().mean().item()
    curve = ((0.0, correct), *((e, o.accuracy) for e, o in zip(sizes, found, strict=True)))
    if not correct:
        reason = "The network gets none of the images right: there is nothing to fool."
        return [Finding("eps_curve", None, reason), Finding("large_eps", None, reason)], curve

    steps = [paired(larger, smaller) for smaller, larger in itertools.pairwise(found)]
    at = min(range(len(steps)), key=lambda i: steps[i].p) if steps else 0
    p = min(1.0, steps[at].p * len(steps)) if steps else 1.0
    if p < LEVEL:
        smaller, larger = (radius(context.norm, eps) for eps in sizes[at : at + 2])
        sentence = (
            f"PGD leaves {percent(steps[at].weak)} at {smaller} but {percent(steps[at].strong)} in "
            f"the larger ball of {larger} ({chance(p)}): the attack loses its way."
        )
    else:
        points = ", ".join(f"{percent(a)} at {radius(context.norm, e)}" for e, a in curve[1:-1])
        sentence = f"Accuracy falls with the radius: {percent(correct)} clean, {points}."
    falls = Finding("eps_curve", not p < LEVEL, sentence)

    last, share = found[-1], 1 / context.classes
    left, asked = int(last.robust.sum()), int(last.correct.sum())
    p = at_least(left, asked, share)
    whole = radius(context.norm, sizes[-1])
    figures = (
        f"In a ball that holds every image ({whole}) PGD leaves {left} of {asked} images right"
    )
    if p < LEVEL:
        end = f"more than the {percent(share)} of guessing ({chance(p)}): it does not find the way"
    elif not left:
        end = "everything can be reached"
    else:
        end = f"no more than the {percent(share)} of guessing"
    return [falls, Finding("large_eps", not p < LEVEL, f"{figures}: {end}.")], curve


def _attack_at(context: CheckContext, eps: float) -> Attack:
    if eps == context.eps:
        return context.standard()
    step = context.step_size * eps / context.eps
    return context.standard(eps=eps, step_size=min(step, 1.0) if context.norm == "linf" else step)
