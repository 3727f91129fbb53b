"""Gradients of close images must point in similar directions.

Athalye et al. 2018 call gradients that do not "shattered"; Pintor et al. 2022 measure the same
failure by how much the loss varies around an image. An attack takes a step along the gradient of
one point, so the gradient must still be about the same where the step ends.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import cosine_similarity

from robench import Check, CheckContext, Finding, UserError, register_check
from robench.checks.contract import Count, Share
from robench.checks.determinism import is_random
from robench.checks.probes import Probe
from robench.checks.searches import best_effort, harder
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, some


@register_check("unstable_gradient", reference="arXiv:2106.09947")
@dataclass(frozen=True)
class UnstableGradient(Check):
    """Tiny random perturbations do not turn the gradient.

    Attributes:
        images: number of images.
        points: number of random points around each image.
        part: how far these points are from it, in units of the radius.
        least: smallest median of the cosine between the gradients there and at the image; on more
            images than half, beyond chance, it must be smaller for the check to fail.
    """

    findings = ("unstable_gradient",)

    images: Count = 48
    points: Count = 3
    part: Share = 1 / 32
    least: Share = 0.5

    def run(self, context: CheckContext) -> Finding:
        """Compare the gradients of images with those of points around them."""
        name = "unstable_gradient"
        if is_random(context):
            sentence = "The network is random, so that gradients cannot be compared."
            return Finding(name, None, sentence)
        probe = Probe.of(context, self.images)
        if not len(probe):
            return Finding(name, None, "The network gets no image right: no logit is followed.")
        try:
            here = probe.gradients(probe.images).double().flatten(1)
            moves = probe.directions(self.points) * (self.part * context.eps)
            points = (probe.images + moves).clamp(0, 1)
            there = [probe.gradients(p).double().flatten(1) for p in points]
        except UserError:
            sentence = "The logits are cut off from the image: there is no gradient to compare."
            return Finding(name, None, sentence)
        cosines = cosine_similarity(here, torch.stack(there), dim=2, eps=1e-300).mean(0)
        cosines = cosines[here.ne(0).any(1) & cosines.isfinite()]
        if not len(cosines):
            return Finding(name, None, "The gradient is zero or not finite at every image.")
        middle = cosines.median().item()
        figures = (
            f"Random perturbations of {100 * self.part:.1f}% of the radius turn the gradient to a "
            f"cosine of {middle:.2f} (median of {some(len(cosines), 'image')})"
        )
        if middle >= self.least:
            return Finding(name, True, f"{figures}: it is stable.")
        turned = int((cosines < self.least).sum())
        figures += f", and on {turned} of them to less than {self.least:g}"
        p = at_least(turned, len(cosines), 0.5)
        if p >= LEVEL:
            return Finding(name, True, f"{figures}: too few images to tell ({chance(p)}).")
        end = "gradients are shattered, and a step along one does not lead where it points"
        effort = best_effort(context, harder)
        return Finding(name, False, f"{figures} ({chance(p)}): {end}.", best_effort=effort)
