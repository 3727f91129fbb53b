"""Test whether gradient-free attacks find what gradient-based attacks missed."""

from contextlib import suppress

from robench.checks.context import CheckContext
from robench.checks.report import Finding
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, radius, some
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.evaluation.outcomes import Bools

MISSED = 0.02
"""Fraction of the samples left by white-box attacks that they may have missed by bad luck: a
search that ends at its last iterate and starts at a few points is not perfect either."""


def not_stronger(
    check: str, context: CheckContext, name: str, fooled: Bools, missed: float
) -> Finding:
    """Return a finding from the samples that only gradient-free attacks fooled.

    Args:
        check: the name of the finding.
        context: the known outcomes of gradient-based attacks, and the means to run more.
        name: the name of the gradient-free attacks.
        fooled: (n,) bool, the samples that they fooled inside the ball.
        missed: fraction of the samples left by gradient-based attacks that may have been missed.
    """
    left = context.correct.numpy().copy()
    for outcomes in _white_box(context):
        left &= outcomes.robust[: len(context)]
    found, trials = int((fooled & left).sum()), int(left.sum())
    if not trials:
        sentence = f"The white-box attacks fool every image: there is nothing left for {name}."
        return Finding(check, True, sentence)
    p = at_least(found, trials, missed)
    figures = (
        f"{name} fools {found} of the {some(trials, 'image')} that no white-box attack fooled "
        f"({radius(context.norm, context.eps)})"
    )
    if p < LEVEL:
        end = f"more than the {100 * missed:.0f}% that bad luck explains ({chance(p)})"
        return Finding(check, False, f"{figures}, {end}: gradients do not lead where a way exists.")
    return Finding(check, True, f"{figures}: no more than bad luck explains.")


def _white_box(context: CheckContext) -> list[Outcomes]:
    """Return all gradient-based attacks in the ball; none if the network has no gradient.

    The margin loss is maximized too, since query-based searches maximize it: a gap that is due to
    the loss alone is no sign of masked gradients. (On an adversarially trained ResNet-18 for
    CIFAR-10, Square fools 13 of the 265 images that PGD-20 on the cross-entropy left, and none of
    those that PGD-20 on the margin left.)
    """
    with suppress(UserError):
        context.run(context.standard(), context.standard(loss="margin"))
    return context.white_box
