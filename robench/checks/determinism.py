"""The same image must give the same logits: again, and in any batch."""

import torch
from torch import Tensor

from robench.checks.context import CheckContext
from robench.checks.report import Finding
from robench.checks.wording import percent

AGAIN = 1e-5
"""How far logits may move between two forwards, relative to their spread: rounding only."""

OTHER_BATCH = 1e-3
"""How far they may move in another batch: other kernels round otherwise."""

FEW = 32
"""Images that are put through in batches of other sizes."""

ODD = 7
"""One of these sizes; the other is one image."""


def same_logits(context: CheckContext) -> Finding:
    """Two forwards in eval mode must agree: attacks on a random network need averages."""
    one, two = context.logits(context.images), context.logits(context.images)
    moved = distance(one, two)
    if moved <= AGAIN:
        return Finding("same_logits", True, "Two forwards in eval mode give the same logits.")
    changed = (one.argmax(1) != two.argmax(1)).float().mean().item()
    return Finding(
        "same_logits",
        False,
        f"Two forwards of the same images differ by {percent(moved)} of the spread of the logits, "
        f"and {percent(changed)} of the verdicts change: the network is random, and attacks that "
        f"ask once are not to be believed.",
    )


def any_batch(context: CheckContext) -> Finding:
    """An image must get the same logits alone and in company."""
    if distance(context.logits(context.images), context.logits(context.images)) > AGAIN:
        sentence = "The network is random, so that batches cannot be compared."
        return Finding("any_batch", None, sentence)
    few = context.images[:FEW]
    together = context.logits(few, len(few))
    moved = max(distance(together, context.logits(few, size)) for size in (1, ODD))
    if moved <= OTHER_BATCH:
        sentence = f"In batches of 1, {ODD} and {len(few)} images the logits are the same."
        return Finding("any_batch", True, sentence)
    return Finding(
        "any_batch",
        False,
        f"In batches of 1, {ODD} and {len(few)} images the logits differ by {percent(moved)} of "
        f"their spread in eval mode: what one image gets depends on the others.",
    )


def distance(one: Tensor, other: Tensor) -> float:
    """Return how far two (n, classes) are apart, relative to the spread of the first.

    The same NaNs and infinities are no distance; others are infinitely far.
    """
    if torch.equal(one.nan_to_num(), other.nan_to_num()):
        return 0.0
    spread = (one - one.mean(1, keepdim=True)).norm().item()
    apart = (one - other).norm().item()
    ratio = apart / spread if spread > 0 else float("inf")
    return ratio if ratio == ratio else float("inf")
