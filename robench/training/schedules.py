"""Learning-rate schedules of torch, stepped per optimizer step."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from robench.board.specs import TrainingSpec


def schedule(optimizer: Optimizer, recipe: TrainingSpec, steps_per_epoch: int) -> LRScheduler:
    """Return the schedule of a recipe, to be stepped once per optimizer step.

    ``step`` divides the rate by 10 at each of ``milestones`` (epochs); ``one-cycle`` rises to
    ``lr`` over the first 30% of the steps and anneals to zero along a cosine.

    Args:
        optimizer: the optimizer, whose groups have the recipe's ``lr``.
        recipe: the recipe that names the schedule.
        steps_per_epoch: optimizer steps per epoch, including those of free replays.
    """
    if recipe.schedule == "one-cycle":
        return OneCycleLR(
            optimizer,
            max_lr=recipe.lr,
            total_steps=recipe.epochs * steps_per_epoch,
            pct_start=_RISE,
            div_factor=_DIVIDED_BY,
            final_div_factor=_DIVIDED_AGAIN,
            cycle_momentum=False,
        )
    return MultiStepLR(optimizer, [epoch * steps_per_epoch for epoch in recipe.milestones])


def rate_at(recipe: TrainingSpec, steps_per_epoch: int, step: int) -> float:
    """Return the learning rate of a recipe's schedule after ``step`` optimizer steps.

    It is computed without taking the steps, so that a published log can be compared with its
    schedule; it differs from that of :func:`schedule` by rounding only.

    Args:
        recipe: the recipe that names the schedule.
        steps_per_epoch: optimizer steps per epoch, including those of free replays.
        step: number of steps taken, from 0 to one less than the number of all steps.
    """
    if recipe.schedule == "step":
        passed = sum(0 <= epoch * steps_per_epoch <= step for epoch in recipe.milestones)
        return float(recipe.lr * 0.1**passed)
    last = recipe.epochs * steps_per_epoch - 1
    top = float(_RISE * (last + 1)) - 1
    lowest = recipe.lr / _DIVIDED_BY
    if step <= top:
        return _cosine(lowest, recipe.lr, step / top)
    return _cosine(recipe.lr, lowest / _DIVIDED_AGAIN, (step - top) / (last - top))


_RISE, _DIVIDED_BY, _DIVIDED_AGAIN = 0.3, 25.0, 1e4
"""The share of the steps that rise; the first rate is lr / 25, the last one that / 10,000: torch's
defaults."""


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
