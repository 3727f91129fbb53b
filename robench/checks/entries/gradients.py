"""The gradients that attacks follow must exist (Athalye et al. 2018)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, register_check
from robench.attack_tools.losses import log_odds, margin
from robench.checks.contract import Share
from robench.checks.probes import gradients_of, margin_gradients
from robench.checks.searches import best_effort, harder
from robench.checks.wording import percent, some
from robench.evaluation.outcomes import Bools

VANISHED = math.log(1e-30)
"""Log-odds of all other classes below which the cross-entropy's gradient vanishes in float32."""

NORMAL = torch.finfo(torch.float32).tiny
"""The smallest number of float32 with all its digits; entries below it are rounded to few."""


@register_check("gradients", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class Gradients(Check):
    """At clean images, gradients are finite and nonzero, and the loss is not saturated.

    The gradient is that of the margin, which does not saturate: if it is zero, there is no gradient
    to follow, whatever the loss. One that underflows has lost its direction, and counts as zero.
    Saturation is computed from the logits: the gradient of the cross-entropy is the margin's times
    the probability of the other classes, and vanishes with it. A network that computes in fewer
    bits may lose it long before: then it is zero where the margin's is not.

    Attributes:
        tolerated: fraction of images that may have no gradient: at most this fraction can seem
            robust for that reason alone.
    """

    findings = ("finite_gradients", "zero_gradients", "saturated_loss")

    tolerated: Share = 0.05

    def run(self, context: CheckContext) -> list[Finding]:
        """Inspect the gradient of the margin and the logits of the correctly classified images."""
        right = context.correct
        if not right.any():
            reason = "The network gets none of the images right: there is no gradient to look at."
            unknown = [Finding(name, None, reason) for name in self.findings]
            broken = _broken(context)
            return [_finite(context, torch.ones(0)), *unknown[1:]] if broken else unknown
        found, logits = margin_gradients(context)
        flat = found.flatten(1)
        return [
            _finite(context, flat),
            self._zeros(flat, context),
            self._saturated(flat, logits, context.labels[right], context),
        ]

    def _zeros(self, gradients: Tensor, context: CheckContext) -> Finding:
        zero = (gradients.abs() < NORMAL).all(1)
        share = zero.float().mean().item()
        underflows = bool(gradients[zero].any())
        kind = "zero, missing or underflows in float32" if underflows else "zero or missing"
        none = (
            f"On {int(zero.sum())} of {len(gradients)} images ({percent(share)}) the gradient is "
            f"{kind}"
        )
        if share <= self.tolerated:
            return Finding("zero_gradients", True, f"{none}.")
        end = "gradient attacks see a flat network there"
        effort = best_effort(context, harder)
        return Finding("zero_gradients", False, f"{none}: {end}.", best_effort=effort)

    def _saturated(
        self, gradients: Tensor, logits: Tensor, labels: Tensor, context: CheckContext
    ) -> Finding:
        underflow = (gradients_of(context, "ce")[0].flatten(1) == 0).all(1)
        underflow &= (gradients != 0).any(1)
        vanished = (log_odds(logits, labels) < VANISHED) | underflow
        lost = vanished.float().mean().item()
        middle = (-margin(logits, labels)).median().item()
        gone = (
            f"On {int(vanished.sum())} of {len(logits)} images ({percent(lost)}) the gradient of "
            f"the cross-entropy vanishes in float32 (median margin: {middle:.3g} logits)"
        )
        if lost <= self.tolerated:
            return Finding("saturated_loss", True, f"{gone}.")
        effort = best_effort(context, _left_on_the_margin)
        sentence = f"{gone}: an attack that climbs it stands still."
        return Finding("saturated_loss", False, sentence, best_effort=effort)


def _left_on_the_margin(context: CheckContext) -> Bools:
    """Return which images the standard attack on the margin leaves, or that were never right."""
    left = context.run(context.standard(loss="margin"))[0].robust[: len(context)]
    return left | ~context.correct.numpy()


def _finite(context: CheckContext, gradients: Tensor) -> Finding:
    """Inspect the gradients, (correct images, pixels), and the logits of all images."""
    name, rows = "finite_gradients", len(gradients)
    if broken := _broken(context):
        sentence = f"The logits are not finite on {broken} of {len(context)} images."
        return Finding(name, False, sentence)
    if bad := int((~gradients.isfinite()).any(1).sum()):
        sentence = (
            f"The gradient is not finite on {bad} of {rows} images: attacks break down there."
        )
        return Finding(name, False, sentence)
    return Finding(name, True, f"The gradient is finite on all {some(rows, 'image')}.")


def _broken(context: CheckContext) -> int:
    """Count the images whose logits are not finite."""
    return int((~context.logits(context.images).isfinite()).any(1).sum())
