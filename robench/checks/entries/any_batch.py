"""An image must get the same logits in every batch."""

from dataclasses import dataclass

from robench import Check, CheckContext, Finding, register_check
from robench.checks.contract import Count
from robench.checks.determinism import distance, is_random
from robench.checks.wording import percent


@register_check("any_batch")
@dataclass(frozen=True)
class AnyBatch(Check):
    """An image gets the same logits alone and in a batch with other images.

    Attributes:
        images: number of images that are evaluated in batches of different sizes.
        odd_size: one of these sizes; the other is one image.
        tolerance: how much logits may differ, relative to their spread; other kernels round
            differently.
    """

    findings = ("any_batch",)

    images: Count = 32
    odd_size: Count = 7
    tolerance: float = 1e-3

    def run(self, context: CheckContext) -> Finding:
        """Compare the logits from batches of several sizes."""
        if is_random(context):
            sentence = "The network is random, so that batches cannot be compared."
            return Finding("any_batch", None, sentence)
        few = context.images[: self.images]
        together = context.logits(few, len(few))
        sizes = (1, self.odd_size)
        moved = max(distance(together, context.logits(few, size)) for size in sizes)
        batches = f"In batches of 1, {self.odd_size} and {len(few)} images the logits"
        if moved <= self.tolerance:
            return Finding("any_batch", True, f"{batches} are the same.")
        return Finding(
            "any_batch",
            False,
            f"{batches} differ by {percent(moved)} of their spread in eval mode: what one image "
            f"gets depends on the others.",
        )
