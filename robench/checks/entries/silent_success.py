"""An attack must not pass an adversarial image and end at another one.

The indicator "silent success" of Pintor et al. 2022: an iterate fooled the network, but what the
attack returns does not. Only attacks that return their last iterate can fail so: PGD does, as in
its paper and the libraries, unless it is built with ``judge="any"``; APGD, AutoAttack and the
query-based attacks return the best point that they have found, and a single step has no other.
"""

from dataclasses import dataclass

import numpy as np

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Share
from robench.checks.determinism import is_random
from robench.checks.significance import LEVEL, at_least
from robench.checks.trajectory import trajectories
from robench.checks.wording import chance, some


@register_check("silent_success", reference="arXiv:2106.09947")
@dataclass(frozen=True)
class SilentSuccess(Check):
    """PGD with 20 steps ends in another class where one of its iterates was in one.

    Attributes:
        lost: fraction of the images left that may have been passed: an attack that takes whole
            steps crosses the border of a class here and there.
    """

    findings = ("silent_success",)

    lost: Share = 0.1

    def run(self, context: CheckContext) -> Finding:
        """Look at all iterates of the standard attack on images that it left right."""
        name = "silent_success"
        if is_random(context):
            sentence = "The network is random, so that trajectories cannot be compared."
            return Finding(name, None, sentence)
        found = trajectories(context)
        left = ~found.fooled[-1]
        count, passed = int(left.sum()), left & found.fooled.any(0)
        if not count:
            sentence = "The standard attack fools every image that it is followed on."
            return Finding(name, True, sentence)
        p = at_least(int(passed.sum()), count, self.lost)
        figures = (
            f"Of {some(count, 'image')} left by PGD {int(passed.sum())} were in another class at "
            f"one of its steps"
        )
        if p < LEVEL:
            robust = np.ones(len(context), dtype=np.bool_)
            robust[found.rows[found.fooled.any(0)].numpy()] = False
            end = (
                f"more than the {100 * self.lost:.0f}% that whole steps explain ({chance(p)}): "
                f"the attack finds adversarial images and loses them again"
            )
            effort = context.best_effort(robust)
            return Finding(name, False, f"{figures}, {end}.", best_effort=effort)
        return Finding(name, True, f"{figures}: it keeps what it finds.")
