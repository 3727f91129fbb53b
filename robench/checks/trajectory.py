"""The trajectories of PGD on images that it leaves right: is its end the best that it passed?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.attack_tools.losses import input_gradient, log_odds
from robench.attack_tools.randomness import generators, in_ball
from robench.attack_tools.threat_models import ascent
from robench.checks.context import CheckContext
from robench.errors import UserError

STEPS = 20
MOST = 64
"""Largest number of images whose trajectories are followed."""


@dataclass(frozen=True, eq=False)
class Trajectories:
    """PGD-20 on images that the network is right on at the start of the ball's search.

    Attributes:
        rows: (m,) indices of the images.
        losses: (21, m) the log-odds against the true class at the start and after each step; they
            rise with the cross-entropy and do not saturate.
        fooled: (21, m) whether the iterate is in another class.
    """

    rows: Tensor
    losses: Tensor
    fooled: Tensor


def trajectories(context: CheckContext) -> Trajectories:
    """Follow PGD with 20 steps on the first images that are right.

    Raises:
        UserError: if the logits are cut off from the images, or none of these is right.
    """
    return context.once(_follow)


def _follow(context: CheckContext) -> Trajectories:
    rows = context.correct.nonzero().squeeze(1)[:MOST]
    if not len(rows):
        raise UserError("the network gets no image right, so that there is no loss to follow.")
    images, labels = context.images[rows], context.labels[rows]
    rngs = generators(context.options.seed, rows.tolist())
    start = images + in_ball(rngs, images.shape[1:], context.norm, context.eps)
    losses, fooled = [], []
    with context.opened():
        for x, y, begin in context.batches(images, labels, start.clamp(0, 1)):
            climb = ascent(x, context.norm, context.eps, context.step_size)
            now, seen = begin, []
            for _ in range(STEPS):
                gradient, logits = input_gradient(context.model, now, y, "ce")
                seen.append(logits)
                now = climb(now, gradient, slice(None))
            with torch.no_grad():
                seen.append(context.ask(now).float())
            losses.append(torch.stack([log_odds(z, y) for z in seen]).cpu())
            fooled.append(torch.stack([z.argmax(1) != y for z in seen]).cpu())
    return Trajectories(rows, torch.cat(losses, 1), torch.cat(fooled, 1))
