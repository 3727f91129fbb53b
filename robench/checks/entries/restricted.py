"""A part of the ball must not hold more than the whole of it.

A network that notices how it is attacked, such as by noise at its border, may answer otherwise
then: an attack that moves every pixel sees another network than the one that is right. One that
leaves some alone stays inside the ball, so that what it finds counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from robench import Check, CheckContext, Finding, UserError, register_check
from robench.attack_tools.losses import input_gradient
from robench.attack_tools.threat_models import ascent
from robench.checks.contract import Count, Share
from robench.checks.determinism import is_random
from robench.checks.searches import STEPS, wrong
from robench.checks.significance import compared
from robench.checks.strength import not_weaker
from robench.evaluation.outcomes import Bools

Part = Callable[[Tensor], Callable[[Tensor], Tensor]]
"""Gradients at the images, (B, C, H, W) -> what keeps of later gradients those of a part."""


@register_check("restricted", reference="arXiv:1902.06705")
@dataclass(frozen=True)
class Restricted(Check):
    """PGD on the whole image is not weaker than PGD on parts of it.

    Attributes:
        share: the part of an image's values, those with the largest gradients, that are moved.
        border: the part of the height and the width, on each side, that is left alone.
        block: the side of the blocks whose pixels are moved alike.
    """

    findings = ("restricted",)

    share: Share = 0.25
    border: Share = 0.1
    block: Count = 4

    def run(self, context: CheckContext) -> Finding:
        """Compare PGD with PGD in three parts of the ball, from the clean image."""
        if is_random(context):
            sentence = "The network is random, so that single attacks cannot be compared."
            return Finding("restricted", None, sentence)
        parts: dict[str, Part] = {
            f"{self.share:.0%} of each image": self.largest,
            "all but the border": self.inside,
            f"{self.block}x{self.block} pixels at once": self.blocks,
        }
        try:
            left = {words: attacked(context, part) for words, part in parts.items()}
        except UserError:
            sentence = "The logits are cut off from the image: there is no gradient to compare."
            return Finding("restricted", None, sentence)
        whole = context.run(context.standard())[0].robust[: len(context)]
        pairs = [
            ("PGD with 20 steps", f"PGD on {words}", compared(whole, robust))
            for words, robust in left.items()
        ]
        meaning = "the network answers otherwise where all of the image is perturbed"
        found = not_weaker("restricted", pairs, meaning)
        if found.passed:
            return found
        effort = context.best_effort(np.logical_and.reduce([*left.values()]))
        return Finding("restricted", False, found.sentence, best_effort=effort)

    def largest(self, first: Tensor) -> Callable[[Tensor], Tensor]:
        """Keep the values whose gradients are the largest at the image."""
        sizes = first.flatten(1).abs()
        count = max(1, round(self.share * sizes.shape[1]))
        mask = (sizes >= sizes.topk(count, 1).values[:, -1:]).view_as(first)
        return lambda gradient: gradient * mask

    def inside(self, first: Tensor) -> Callable[[Tensor], Tensor]:
        """Keep what is not at the border."""
        height, width = first.shape[2:]
        rows, columns = (max(1, round(self.border * side)) for side in (height, width))
        mask = torch.zeros_like(first[:1, :1])
        mask[..., rows : height - rows, columns : width - columns] = 1
        return lambda gradient: gradient * mask

    def blocks(self, first: Tensor) -> Callable[[Tensor], Tensor]:
        """Keep the mean over each block."""
        size = first.shape[2:]
        sides = [min(self.block, side) for side in size]

        def keep(gradient: Tensor) -> Tensor:
            means = functional.avg_pool2d(gradient, sides, ceil_mode=True)
            wide = means.repeat_interleave(sides[0], 2).repeat_interleave(sides[1], 3)
            return wide[:, :, : size[0], : size[1]]

        return keep


def attacked(context: CheckContext, part: Part) -> Bools:
    """Return which images PGD with 20 steps in a part of the ball leaves right, (n,) bool.

    Raises:
        UserError: if the logits are cut off from the images.
    """
    robust = context.correct.numpy().copy()
    rows = context.correct.nonzero().squeeze(1)
    fooled: list[Tensor] = []
    with context.opened():
        for x, y in context.batches(context.images[rows], context.labels[rows]):
            step = ascent(x, context.norm, context.eps, context.step_size)
            ever = torch.zeros(len(x), dtype=torch.bool, device=x.device)
            now, keep = x, None
            for _ in range(STEPS):
                gradient = input_gradient(context.model, now, y, "ce")[0].nan_to_num()
                keep = keep or part(gradient)
                now = step(now, keep(gradient), slice(None))
                ever |= wrong(context, now, y)
            fooled.append(ever.cpu())
    if fooled:
        robust[rows[torch.cat(fooled)].numpy()] = False
    return robust
