"""The loss must rise along the gradients that attacks follow (Athalye et al. 2018)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, register_check
from robench.attack_tools.losses import input_gradient, log_odds
from robench.attack_tools.randomness import generators, in_ball
from robench.attack_tools.threat_models import ascent
from robench.checks.contract import Count, Share
from robench.checks.searches import best_effort, harder
from robench.checks.significance import LEVEL, at_most
from robench.checks.wording import chance, percent, some


@register_check("loss_rises", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class LossRises(Check):
    """The loss at the end of a PGD trajectory is higher than at its start.

    Attributes:
        steps: number of steps of the trajectory.
        rising: fraction of trajectories that must end higher than they began.
    """

    findings = ("loss_rises",)

    steps: Count = 10
    rising: Share = 0.9

    def run(self, context: CheckContext) -> Finding:
        """Follow the gradients from a random start."""
        if not context.correct.any():
            sentence = "The network gets no image right: no loss can rise."
            return Finding("loss_rises", None, sentence)
        losses = _trajectory(context, self.steps)
        count = losses.shape[1]
        rose = int((losses[-1] > losses[0]).sum())
        share = (losses[1:] > losses[:-1]).float().mean().item()
        p = at_most(rose, count, self.rising)
        figures = (
            f"Along {self.steps} steps of PGD the loss ends higher than it began on {rose} of "
            f"{some(count, 'image')}, and rises in {percent(share)} of the steps"
        )
        if p < LEVEL:
            end = (
                f"fewer than the {100 * self.rising:.0f}% that are asked for ({chance(p)}): "
                f"its gradients do not lead upwards"
            )
            effort = best_effort(context, harder)
            return Finding("loss_rises", False, f"{figures}, {end}.", best_effort=effort)
        return Finding("loss_rises", True, f"{figures}.")


def _trajectory(context: CheckContext, steps: int) -> Tensor:
    """Return the log-odds against the true class, (steps + 1, correct samples).

    They rise with the cross-entropy and do not saturate.
    """
    right = context.correct
    images, labels = context.images[right], context.labels[right]
    rngs = generators(context.options.seed, right.nonzero().squeeze(1).tolist())
    start = images + in_ball(rngs, images.shape[1:], context.norm, context.eps)
    columns = []
    with context.opened():
        for x, y, begin in context.batches(images, labels, start.clamp(0, 1)):
            climb = ascent(x, context.norm, context.eps, context.step_size)
            now, losses = begin, []
            for _ in range(steps):
                gradient, logits = input_gradient(context.model, now, y, "ce")
                losses.append(log_odds(logits, y))
                now = climb(now, gradient, slice(None))
            with torch.no_grad():
                losses.append(log_odds(context.ask(now).float(), y))
            columns.append(torch.stack(losses).cpu())
    return torch.cat(columns, 1)
