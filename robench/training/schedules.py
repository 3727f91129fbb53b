"""Learning-rate schedules of torch, stepped per optimizer step."""

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
            pct_start=0.3,
            cycle_momentum=False,
        )
    return MultiStepLR(optimizer, [epoch * steps_per_epoch for epoch in recipe.milestones])
