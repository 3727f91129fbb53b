"""Gradients must be the derivatives of the logits, not those of something else.

A custom backward, a straight-through estimator or the gradient of another network gives attacks
gradients that look sound and lead elsewhere. Derivatives along random directions, from central
differences, do not depend on what a backward pass claims.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, UserError, register_check
from robench.attack_tools.randomness import generators, in_ball
from robench.checks.contract import Count, Share
from robench.checks.determinism import is_random
from robench.checks.probes import Probe, is_rough
from robench.checks.searches import best_effort, harder
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, percent, some

MEASURABLE = 1e-5
"""Smallest change of the logits, relative to the largest of them, that central differences show."""


@register_check("wrong_gradient", reference="arXiv:1802.00420")
@dataclass(frozen=True)
class WrongGradient(Check):
    """The gradient agrees with central differences along random directions.

    They are compared by the cosine over the directions, which does not depend on the gradient's
    length, since attacks do not either. An image counts if no size of the differences agrees.

    Whether a part of the gradient is missing is looked at near the image, too, since max-pooling
    has no derivative where pixels are equal, as on a black background. Values whose gradient is
    exactly zero hardly count in the whole, and no attack moves them: there they are moved by
    themselves, and must not change the logits.

    Attributes:
        images: number of images.
        directions: number of random directions per image.
        parts: sizes of the differences in units of the radius.
        least: the cosine below which a gradient is wrong.
        tolerated: fraction of images that may have a wrong gradient.
        whole: the cosine below which a part of a gradient is missing: about 0.8 without a third of
            the pixels.
        partial: fraction of images on which a part of the gradient may be missing.
        unseen: how much of the change of the logits by all values those without gradient may make.
        near: how far away, in units of the radius.
    """

    findings = ("wrong_gradient",)

    images: Count = 40
    directions: Count = 12
    parts: tuple[float, ...] = (1 / 64, 1 / 8)
    least: Share = 0.5
    tolerated: Share = 0.2
    whole: Share = 0.9
    partial: Share = 0.5
    unseen: Share = 0.2
    near: Share = 0.25

    def run(self, context: CheckContext) -> Finding:
        """Compare directional derivatives."""
        name = "wrong_gradient"
        if is_random(context):
            sentence = "The network is random, so that differences cannot be taken."
            return Finding(name, None, sentence)
        probe = Probe.of(context, self.images)
        if not len(probe):
            return Finding(name, None, "The network gets no image right: no logit is followed.")
        try:
            gradients = probe.gradients(probe.images)
        except UserError:
            sentence = "The logits are cut off from the image: there is no gradient to compare."
            return Finding(name, None, sentence)
        cosines = self.cosines(probe, gradients)
        compared = ~is_rough(probe) & cosines.isfinite()
        cosines = cosines[compared]
        count, bad = len(cosines), int((cosines < self.least).sum())
        if count < len(probe) / 4:
            sentence = "The gradient is zero, or the logits are flat or rough, around most images."
            return Finding(name, None, sentence)
        p = at_least(bad, count, self.tolerated)
        figures = (
            f"On {bad} of {some(count, 'image')} ({percent(bad / count)}) the gradient disagrees "
            f"with finite differences of the logits (median cosine {cosines.median():.2f})"
        )
        if p < LEVEL:
            end = (
                f"{chance(p)}: the backward pass does not compute the derivative of the forward "
                f"pass, and attacks are led astray"
            )
            found = best_effort(context, harder)
            return Finding(name, False, f"{figures}, {end}.", best_effort=found)
        away = self.moved(probe)
        around = away.gradients(away.images)
        missed = self.missed(away, around)[compared]
        agrees = self.cosines(away, around)[compared] >= self.whole  # not where it is nan
        lacking = int((((cosines < self.whole) & ~agrees) | missed).sum())
        p = at_least(lacking, count, self.partial)
        if p < LEVEL:
            sentence = (
                f"On {lacking} of {some(count, 'image')} ({percent(lacking / count)}) the gradient "
                f"agrees with finite differences of the logits only in part (median cosine "
                f"{cosines.median():.2f}; on {int(missed.sum())} the logits change with values "
                f"whose gradient is zero), {chance(p)}: the backward pass leaves something out, "
                f"such as pixels or channels, and attacks do not move it."
            )
            found = best_effort(context, harder)
            return Finding(name, False, sentence, best_effort=found)
        return Finding(name, True, f"{figures}: it is the derivative of the logits.")

    def cosines(self, probe: Probe, gradients: Tensor) -> Tensor:
        """Return the best cosine of each image, (m,); nan where nothing can be compared."""
        directions = probe.directions(self.directions)
        found = []
        for part in self.parts:
            moves = directions * (part * probe.context.eps)
            up, down = _ends(probe, moves)
            risen = probe.leads(up) - probe.leads(down)
            promised = ((up - down).double() * gradients.double()).flatten(2).sum(2)
            cosine = torch.nn.functional.cosine_similarity(risen, promised, dim=0, eps=1e-300)
            seen = risen.abs().amax(0) > MEASURABLE * probe.scale
            known = seen & (gradients != 0).flatten(1).any(1) & promised.isfinite().all(0)
            found.append(cosine.where(known, -torch.inf))
        best = torch.stack(found).amax(0)
        return best.where(best.isfinite(), torch.nan)

    def moved(self, probe: Probe) -> Probe:
        """Return the images with random values added, so that no two of them are equal."""
        rngs = generators(probe.context.options.seed + 4, probe.rows.tolist())
        shape, radius = probe.images.shape[1:], self.near * probe.context.eps
        points = probe.images + in_ball(rngs, shape, probe.context.norm, radius)
        return replace(probe, images=1 - (1 - points.abs()).abs())  # reflected into [0, 1]

    def missed(self, probe: Probe, gradients: Tensor) -> Tensor:
        """Return on which images values without gradient change the logits, (m,) bool."""
        directions = probe.directions(self.directions)
        zero = gradients == 0
        if not zero.any():
            return torch.zeros(len(probe), dtype=torch.bool)
        found = []
        for part in self.parts:
            moves = directions * (part * probe.context.eps)
            whole, alone = (_change(probe, now) for now in (moves, moves * zero))
            found.append((alone > self.unseen * whole) & (alone > MEASURABLE * probe.scale))
        return torch.stack(found).all(0) & ~zero.flatten(1).all(1)


def _ends(probe: Probe, moves: Tensor) -> list[Tensor]:
    """Return the points along moves and against them, in [0, 1], (k, m, C, H, W) each."""
    return [(probe.images + sign * moves).clamp(0, 1) for sign in (1, -1)]


def _change(probe: Probe, moves: Tensor) -> Tensor:
    """Return the root mean square of the differences of the leads along moves, (m,)."""
    up, down = map(probe.leads, _ends(probe, moves))
    return (up - down).square().mean(0).sqrt()
