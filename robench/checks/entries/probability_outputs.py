"""A network must return logits, not probabilities.

The cross-entropy of probabilities is a softmax of a softmax: it lies between two close bounds, and
its gradient vanishes where the network is sure. So it is with a sigmoid of each logit, whose
outputs need not add up to 1. Log-probabilities are logits up to a constant, and harmless.
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

NEAR = 0.1
"""How close to 0 and to 1 the outputs of most images come if each is a probability of its own. The
logits of a network that hardly moves may lie between 0 and 1, but do not reach from end to end."""

_END = (
    "the network returns probabilities, whose cross-entropy has hardly a gradient; let it return "
    "the logits"
)


@register_check("probability_outputs", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class ProbabilityOutputs(Check):
    """The outputs are not all between 0 and 1, with a sum of 1 or with both ends on most images.

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
        if share >= self.share:
            effort = best_effort(context, _climb_logarithms)
            return Finding(name, False, f"{figures}: {_END}.", best_effort=effort)
        inside = ((outputs >= 0) & (outputs <= 1)).all(1)
        wide = inside & (outputs.amin(1) <= NEAR) & (outputs.amax(1) >= 1 - NEAR)
        share = inside.double().mean().item()
        if share < self.share or 2 * int(wide.sum()) <= len(outputs):
            return Finding(name, True, f"{figures}: they are no probabilities.")
        figures = (
            f"On {int(inside.sum())} of {len(outputs)} images ({percent(share)}) all outputs lie "
            f"between 0 and 1, and on {int(wide.sum())} they come within {NEAR:g} of both"
        )
        effort = best_effort(context, _climb_log_odds)
        return Finding(name, False, f"{figures}: {_END}.", best_effort=effort)


def _climb_logarithms(context: CheckContext) -> Bools:
    return climb(context, lambda x, y: _logarithmic(context, x, y), left(context))


def _climb_log_odds(context: CheckContext) -> Bools:
    """Follow the logits that a sigmoid was taken of."""

    def margin_of_logits(p: Tensor, y: Tensor) -> Tensor:
        tiny = torch.finfo(torch.float32).tiny
        return margin(p.clamp_min(tiny).log() - (1 - p).clamp_min(tiny).log(), y)

    def gradient(x: Tensor, y: Tensor) -> Tensor:
        return ascent_direction(context.model, x, lambda p: margin_of_logits(p, y))[0]

    return climb(context, gradient, left(context))


def _logarithmic(context: CheckContext, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the margin of the outputs' logarithms."""
    tiny = torch.finfo(torch.float32).tiny
    return ascent_direction(context.model, x, lambda p: margin(p.clamp_min(tiny).log(), y))[0]
