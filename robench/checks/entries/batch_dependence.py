"""Predictions must not depend on how images are put into batches: their order, size and company.

``any_batch`` compares sizes; this check also changes which images are together.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count
from robench.checks.determinism import distance, is_random
from robench.checks.searches import best_effort, climb, left, margin_gradient
from robench.checks.wording import percent
from robench.evaluation.outcomes import Bools


@register_check("batch_dependence")
@dataclass(frozen=True)
class BatchDependence(Check):
    """An image gets the same logits alone, in another order, among its class and with copies.

    Attributes:
        images: number of images.
        odd_size: the size of the batches of odd size.
        tolerance: how much logits may differ, relative to their spread; other kernels round
            differently.
    """

    findings = ("batch_dependence",)

    images: Count = 40
    odd_size: Count = 5
    tolerance: float = 1e-3

    def run(self, context: CheckContext) -> Finding:
        """Compare the logits of the same images from several arrangements."""
        name = "batch_dependence"
        if is_random(context):
            sentence = "The network is random, so that batches cannot be compared."
            return Finding(name, None, sentence)
        few = context.images[: self.images]
        whole = context.logits(few, len(few))
        moved = {
            "alone": distance(whole, context.logits(few, 1)),
            f"in batches of {self.odd_size}": distance(whole, context.logits(few, self.odd_size)),
            "in another order": distance(whole, _shuffled(context, few)),
            "among images of one class": distance(whole, _by_class(context, few, whole)),
            "with copies of itself": distance(whole, _with_copies(context, few)),
        }
        if max(moved.values()) <= self.tolerance:
            sentence = f"Images get the same logits {', '.join(moved)}."
            return Finding(name, True, sentence)
        worst = max(moved, key=lambda how: moved[how])
        sentence = (
            f"An image's logits differ by {percent(moved[worst])} of their spread {worst}: what it "
            f"is taken for depends on its batch, and a batch of adversarial images is not what "
            f"an attacker sends."
        )
        return Finding(name, False, sentence, best_effort=best_effort(context, _alone))


def _alone(context: CheckContext) -> Bools:
    """Search on each image in a batch of its own."""
    alone = replace(context, options=replace(context.options, batch_size=1), memo={})
    return climb(alone, lambda x, y: margin_gradient(alone, x, y), left(context))


def _shuffled(context: CheckContext, few: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(context.options.seed)
    order = torch.randperm(len(few), generator=generator)
    return context.logits(few[order], len(few))[order.argsort()]


def _by_class(context: CheckContext, few: Tensor, whole: Tensor) -> Tensor:
    found, labels = torch.zeros_like(whole), context.labels[: len(few)]
    for label in labels.unique():
        rows = labels == label
        found[rows] = context.logits(few[rows], len(few))
    return found


def _with_copies(context: CheckContext, few: Tensor) -> Tensor:
    """Return the logits of images that make up most of their batch, two of them at a time."""
    parts = []
    for pair in few.split(2):
        batch = torch.cat([pair, pair[:1].expand(len(few) // 2, *pair.shape[1:])])
        parts.append(context.logits(batch, len(batch))[: len(pair)])
    return torch.cat(parts)
