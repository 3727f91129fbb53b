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


# It takes many parameters, since the attack that it compares may be several, or on few images.
def not_stronger(
    check: str,
    context: CheckContext,
    name: str,
    fooled: Bools,
    missed: float,
    asked: Bools | None = None,
) -> Finding:
    """Return a finding from the samples that only gradient-free attacks fooled.

    Args:
        check: the name of the finding.
        context: the known outcomes of gradient-based attacks, and the means to run more.
        name: the name of the gradient-free attacks.
        fooled: (n,) bool, the samples that they fooled inside the ball.
        missed: fraction of the samples left by gradient-based attacks that may have been missed.
        asked: (n,) bool, the samples that they were run on, the first that are left; None: all.
    """
    left = left_by_gradients(context)
    some_only = asked is not None and bool((left & ~asked).any())
    if asked is not None:
        left &= asked
    found, trials = int((fooled & left).sum()), int(left.sum())
    if not trials:
        sentence = f"The white-box attacks fool every image: there is nothing left for {name}."
        return Finding(check, True, sentence)
    p = at_least(found, trials, missed)
    figures = (
        f"{name} fools {found} of the {'first ' if some_only else ''}"
        f"{some(trials, 'image')} that no white-box attack fooled "
        f"({radius(context.norm, context.eps)})"
    )
    if p < LEVEL:
        end = f"more than the {100 * missed:.0f}% that bad luck explains ({chance(p)})"
        sentence = f"{figures}, {end}: gradients do not lead where a way exists."
        return Finding(check, False, sentence, best_effort=context.best_effort(~fooled))
    return Finding(check, True, f"{figures}: no more than bad luck explains.")


def left_by_gradients(context: CheckContext) -> Bools:
    """Return which images are right under all known gradient-based attacks in the ball, (n,) bool.

    The standard attack is made, and that on the margin.
    """
    left = context.correct.numpy().copy()
    for outcomes in _white_box(context):
        left &= outcomes.robust[: len(context)]
    return left


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
