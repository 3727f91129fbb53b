"""An attack must have come to rest: its loss no longer rises at the end.

The indicator "incomplete optimization" of Pintor et al. 2022: on an image that was not fooled, the
best loss so far, in units of its range along the trajectory, still moves by more than 5% at the
end. That alone is no fault, since a loss may creep for ever on an image that is robust; the check
fails if a longer attack is also stronger.
"""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count, Share
from robench.checks.determinism import is_random
from robench.checks.significance import LEVEL, paired
from robench.checks.trajectory import STEPS, trajectories
from robench.checks.wording import chance, percent, some


@register_check("incomplete_optimization", reference="arXiv:2106.09947")
@dataclass(frozen=True)
class IncompleteOptimization(Check):
    """The loss of PGD with 20 steps has stopped rising, or more steps fool no more images.

    Attributes:
        steps: number of steps of the longer attack.
        moves: how much of its range the best loss may move in the last tenth of the steps.
        moving: fraction of the images left on which it may move more.
        points: difference of the two accuracies up to which the longer attack is not stronger.
    """

    findings = ("incomplete_optimization",)

    steps: Count = 100
    moves: Share = 0.05
    moving: Share = 0.2
    points: Share = 0.05

    def run(self, context: CheckContext) -> Finding:
        """Follow the loss of the standard attack, and compare it with a longer one."""
        name = "incomplete_optimization"
        if is_random(context):
            sentence = "The network is random, so that trajectories cannot be compared."
            return Finding(name, None, sentence)
        found = trajectories(context)
        best = found.losses.cummax(0).values[:, ~found.fooled.any(0)]
        if not (count := best.shape[1]):
            sentence = "The standard attack fools every image that it is followed on."
            return Finding(name, True, sentence)
        last = best[-1] - best[-1 - STEPS // 10]
        moving = int((last > self.moves * (best[-1] - best[0])).sum())
        many, few = context.run(context.standard(steps=self.steps), context.standard())
        compared = paired(few, many)
        figures = (
            f"On {moving} of {some(count, 'image')} left the loss still rises by more than "
            f"{100 * self.moves:.0f}% of its range in the last {STEPS // 10} of {STEPS} steps of "
            f"PGD; {self.steps} steps leave {percent(compared.weak)} where {STEPS} leave "
            f"{percent(compared.strong)}"
        )
        gap = compared.strong - compared.weak
        if moving > self.moving * count and gap > self.points and compared.p < LEVEL:
            end = f"the attack ends before it has found what it can ({chance(compared.p)})"
            effort = context.best_effort(many.robust[: len(context)])
            return Finding(name, False, f"{figures}: {end}.", best_effort=effort)
        return Finding(name, True, f"{figures}: it does not end too early.")
