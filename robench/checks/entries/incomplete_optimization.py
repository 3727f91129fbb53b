"""An attack must have found what it can: neither more steps nor other steps find far more.

The indicator "incomplete optimization" of Pintor et al. 2022: on an image that was not fooled, the
best loss so far, in units of its range along the trajectory, still moves by more than 5% at the
end. That alone is no fault, since a loss may creep for ever on an image that is robust; the check
fails if a longer attack is also stronger. Steps of one size may come to rest too early, too: the
check fails if those of APGD (Croce and Hein 2020), which adapt, fool far more images.
"""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count, Share
from robench.checks.determinism import is_random
from robench.checks.significance import LEVEL, Paired, paired
from robench.checks.trajectory import STEPS, trajectories
from robench.checks.wording import chance, percent, some


@register_check("incomplete_optimization", reference="arXiv:2106.09947")
@dataclass(frozen=True)
class IncompleteOptimization(Check):
    """PGD with 20 steps fools nearly as many images as with more steps, or with steps that adapt.

    Attributes:
        steps: number of steps of the longer attack.
        adaptive: number of steps of APGD.
        moves: how much of its range the best loss may move in the last tenth of the steps.
        moving: fraction of the images left on which it may move more.
        points: difference of the two accuracies up to which the longer attack is not stronger.
        far: difference up to which APGD is not far stronger: on networks that were trained against
            attacks, one to three points are usual.
    """

    findings = ("incomplete_optimization",)

    steps: Count = 100
    adaptive: Count = 50
    moves: Share = 0.05
    moving: Share = 0.2
    points: Share = 0.05
    far: Share = 0.08

    def run(self, context: CheckContext) -> Finding:
        """Follow the loss of the standard attack, and compare it with a longer one and APGD."""
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
        few, many, adapted = context.run(
            context.standard(),
            context.standard(steps=self.steps),
            context.attack("apgd", steps=self.adaptive),
        )
        longer, other = paired(few, many), paired(few, adapted)
        figures = (
            f"On {moving} of {some(count, 'image')} left the loss still rises by more than "
            f"{100 * self.moves:.0f}% of its range in the last {STEPS // 10} of {STEPS} steps of "
            f"PGD; {self.steps} steps leave {percent(longer.weak)} where {STEPS} leave "
            f"{percent(longer.strong)}, and {self.adaptive} steps of APGD {percent(other.weak)}"
        )
        stronger = [other] if _is_stronger(other, self.far + 1e-9) else []
        if moving > self.moving * count and _is_stronger(longer, self.points):
            stronger.append(longer)
        if stronger:
            p = min(compared.p for compared in stronger)
            end = f"the attack ends before it has found what it can ({chance(p)})"
            effort = context.best_effort((many.robust & adapted.robust)[: len(context)])
            return Finding(name, False, f"{figures}: {end}.", best_effort=effort)
        return Finding(name, True, f"{figures}: it does not end too early.")


def _is_stronger(compared: Paired, points: float) -> bool:
    return compared.strong - compared.weak > points and compared.p < LEVEL
