"""A network must return logits, not probabilities.

The cross-entropy of probabilities is a softmax of a softmax: it lies between two close bounds, and
its gradient vanishes where the network is sure. Log-probabilities are logits up to a constant, and
harmless.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, register_check
from robench.attack_tools.losses import ascent_direction, margin
from robench.checks.contract import Share
from robench.checks.searches import best_effort, climb, left
from robench.checks.wording import percent
from robench.evaluation.outcomes import Bools


@register_check("probability_outputs", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class ProbabilityOutputs(Check):
    """The outputs are not all between 0 and 1 with a sum of 1.

    Attributes:
        share: fraction of images from which on outputs are probabilities.
        tolerance: how far from 1 a sum may be, which covers sums in half precision.
    """

    findings = ("probability_outputs",)

    share: Share = 0.95
    tolerance: float = 2e-3

    def run(self, context: CheckContext) -> Finding:
        """Inspect the outputs on all images."""
        name = "probability_outputs"
        outputs = context.logits(context.images)
        sums = outputs.double().sum(1)
        like = (outputs >= 0).all(1) & ((sums - 1).abs() <= self.tolerance)
        share = like.double().mean().item()
        figures = (
            f"On {int(like.sum())} of {len(outputs)} images ({percent(share)}) the outputs are not "
            f"negative and add up to 1"
        )
        if share < self.share:
            return Finding(name, True, f"{figures}: they are no probabilities.")
        end = (
            "the network returns probabilities, whose cross-entropy has hardly a gradient; let it "
            "return the logits"
        )
        effort = best_effort(context, _climb_logarithms)
        return Finding(name, False, f"{figures}: {end}.", best_effort=effort)


def _climb_logarithms(context: CheckContext) -> Bools:
    return climb(context, lambda x, y: _logarithmic(context, x, y), left(context))


def _logarithmic(context: CheckContext, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the margin of the outputs' logarithms."""
    tiny = torch.finfo(torch.float32).tiny
    return ascent_direction(context.model, x, lambda p: margin(p.clamp_min(tiny).log(), y))[0]
