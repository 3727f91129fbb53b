"""Logits must not jump between two images that are all but equal.

Where a branch decides what is computed, gradients tell of one side only. A detector of perturbed
images answers the images of an attack from another branch than the clean ones; what it takes for
clean stays unattacked. On the way to a point of the ball the interval in which the logits change
most is halved again and again: a continuous network changes less and less, a jump stays.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, register_check
from robench.attack_tools.randomness import generators, in_ball
from robench.checks.contract import Count, Share
from robench.checks.determinism import is_random
from robench.checks.probes import ROUNDED, Probe
from robench.checks.searches import best_effort, harder
from robench.checks.significance import LEVEL, at_least
from robench.checks.wording import chance, percent, some


@register_check("discontinuous", reference="arXiv:1705.07263")
@dataclass(frozen=True)
class Discontinuous(Check):
    """The logits change continuously on the way to random points of the ball.

    Attributes:
        images: number of images.
        parts: number of intervals that a way is cut into before the halving.
        halvings: how often the interval with the largest change is halved.
        most: how much of the largest change on the whole way the last interval may keep.
        tolerated: fraction of images on whose way there may be a jump.
    """

    findings = ("discontinuous",)

    images: Count = 48
    parts: Count = 8
    halvings: Count = 12
    most: Share = 0.2
    tolerated: Share = 0.1

    def run(self, context: CheckContext) -> Finding:
        """Look for a jump on the way from each image to a point at random."""
        name = "discontinuous"
        if is_random(context):
            sentence = "The network is random, so that close images cannot be compared."
            return Finding(name, None, sentence)
        probe = Probe.of(context, self.images)
        if not len(probe):
            return Finding(name, None, "The network gets no image right: no logit is followed.")
        rngs = generators(context.options.seed + 4, probe.rows.tolist())
        moves = in_ball(rngs, probe.images.shape[1:], context.norm, context.eps)
        jumps = self.jumps(probe, (probe.images + moves).clamp(0, 1))
        count, bad = len(probe), int(jumps.sum())
        p = at_least(bad, count, self.tolerated)
        figures = (
            f"On the way from an image to a random point of the ball the logits jump for {bad} of "
            f"{some(count, 'image')} ({percent(bad / count)}): {100 * self.most:.0f}% of their "
            f"change or more within {percent(1 / (self.parts * 2**self.halvings), 4)} of the way"
        )
        if p < LEVEL:
            end = (
                f"{chance(p)}): a branch decides there, as of a detector or a quantization, and "
                f"gradients tell of one side only"
            )
            found = best_effort(context, harder)
            return Finding(name, False, f"{figures} ({end}.", best_effort=found)
        return Finding(name, True, f"{figures}: they are continuous.")

    def jumps(self, probe: Probe, end: Tensor) -> Tensor:
        """Return on which ways from the images the logits jump, (m,) bool.

        Args:
            probe: the images.
            end: where the ways end, (m, C, H, W).
        """
        start = probe.images

        def logits(part: Tensor) -> Tensor:
            part = part.view(-1, 1, 1, 1)
            return probe.context.logits(start + part * (end - start)).double()

        marks = torch.linspace(0, 1, self.parts + 1, dtype=torch.float64)
        seen = torch.stack([logits(mark.expand(len(start)).float()) for mark in marks])
        whole = _apart(seen, seen[0]).amax(0)
        first = _apart(seen[1:], seen[:-1]).argmax(0)
        low, high = marks[first], marks[first + 1]
        each = torch.arange(len(start))
        below, above = seen[first, each], seen[first + 1, each]
        for _ in range(self.halvings):
            middle = (low + high) / 2
            between = logits(middle.float())
            left = _apart(between, below) >= _apart(above, between)
            low, high = torch.where(left, low, middle), torch.where(left, middle, high)
            column = left.unsqueeze(1)
            below, above = (
                torch.where(column, below, between), torch.where(column, between, above),
            )  # fmt: skip
        last = _apart(above, below)
        return (last >= self.most * whole) & (last > ROUNDED * probe.scale)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Return the largest difference of logits, which what is added to all of them does not make."""
    difference = one - other
    return (difference.amax(-1) - difference.amin(-1)).nan_to_num()
