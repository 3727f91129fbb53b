"""Logits must change smoothly: noise that is a function of the image hides where they lead.

A smooth network's logits change in proportion to a small perturbation. Pseudo-random noise drawn
from a hash of the image, or a ripple of high frequency, changes them about as much for a tiny
perturbation as for a large one; a gradient then says nothing about the change over a step of an
attack. (The indicator "unstable predictions" of Pintor et al. 2022 measures the change at one size,
relative to the loss, which depends on how sure a network is; the ratio of two sizes does not.)
"""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count, Share
from robench.checks.determinism import is_random
from robench.checks.probes import Probe, is_rough
from robench.checks.searches import best_effort, harder
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, percent, some


@register_check("rough_logits", reference="arXiv:2106.09947")
@dataclass(frozen=True)
class RoughLogits(Check):
    """A tiny perturbation changes the logits much less than a large one.

    Attributes:
        images: number of images.
        directions: number of random directions per image, the same at every size.
        parts: sizes of small perturbations in units of the radius, beside one of 1e-6 per pixel.
        large: size of the large perturbation in units of the radius: a step of an attack.
        most: how much of the change by the large perturbation a small one may make; in proportion
            to their sizes it would be a quarter or less.
        tolerated: fraction of images that may change more, as next to the steps of a quantization.
    """

    findings = ("rough_logits",)

    images: Count = 64
    directions: Count = 6
    parts: tuple[float, ...] = (1 / 64, 1 / 16)
    large: Share = 1 / 4
    most: Share = 0.6
    tolerated: Share = 0.3

    def run(self, context: CheckContext) -> Finding:
        """Compare the changes of the logits by perturbations of several sizes."""
        name = "rough_logits"
        if is_random(context):
            sentence = "The network is random, so that close images cannot be compared."
            return Finding(name, None, sentence)
        probe = Probe.of(context, self.images)
        if not len(probe):
            return Finding(name, None, "The network gets no image right: no logit is followed.")
        rough = is_rough(probe, self.directions, self.parts, self.large, self.most)
        count, bad = len(probe), int(rough.sum())
        p = at_least(bad, count, self.tolerated)
        figures = (
            f"On {bad} of {some(count, 'image')} ({percent(bad / count)}) a perturbation of a "
            f"quarter of an attack's step or less changes the logits by more than "
            f"{100 * self.most:.0f}% of what the whole step does"
        )
        if p < LEVEL:
            end = (
                f"{chance(p)}): the logits are rough, as with noise that is computed from the "
                f"image or a ripple on the logits, and no gradient leads through"
            )
            found = best_effort(context, harder)
            return Finding(name, False, f"{figures} ({end}.", best_effort=found)
        return Finding(name, True, f"{figures}: the logits are smooth.")
