"""Step sizes that a search chooses itself (Croce and Hein 2020, Section 4 and Algorithm 1).

A search begins with steps of twice the radius. At checkpoints, which come closer and closer, the
step size is halved and the search goes back to its best point, if

1. fewer than three quarters of the steps since the last checkpoint have raised the loss, or
2. nothing was gained since then, although the step size was not halved there.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

ENOUGH = 0.75
"""The share of steps that must raise the loss for the step size to stay, rho."""

FIRST, LESS, LEAST = 0.22, 0.03, 0.06
"""Steps before the first checkpoint, by how much each later stretch is shorter, and the shortest
stretch: shares of all steps."""


@dataclass(frozen=True, eq=False)
class StepState:
    """How far the search of each sample has come, all on the CPU.

    Attributes:
        taken: steps taken; -1 before its start is drawn.
        step: the step size.
        loss: the loss at the iterate before.
        best: the highest loss.
        since: steps taken since the last checkpoint.
        stretch: the number of steps from the last checkpoint to the next.
        raised: how many of the steps since the last checkpoint have raised the loss.
        best_then: the highest loss at the last checkpoint.
        halved: whether the step size was halved there.
    """

    taken: Tensor
    step: Tensor
    loss: Tensor
    best: Tensor
    since: Tensor
    stretch: Tensor
    raised: Tensor
    best_then: Tensor
    halved: Tensor

    @classmethod
    def initial(cls, count: int) -> Self:
        """Return the progress of this many samples before any start is drawn."""
        whole, number = torch.zeros(count, dtype=torch.int64), torch.zeros(count)
        fields = {name: whole.clone() for name in ("since", "stretch", "raised")}
        fields |= {name: number.clone() for name in ("step", "loss", "best", "best_then")}
        return cls(taken=whole - 1, halved=whole.bool(), **fields)


class StepControl:
    """The rule for searches of this many steps in a ball of this radius."""

    def __init__(self, steps: int, eps: float) -> None:
        self.eps = eps
        self.first, self.less, self.least = (
            max(int(share * steps), 1) for share in (FIRST, LESS, LEAST)
        )

    def restart(self, progress: StepState, rows: Tensor) -> None:
        """Begin new searches for the samples ``rows``."""
        for count in (progress.taken, progress.since, progress.raised):
            count[rows] = 0
        progress.step[rows] = 2 * self.eps
        progress.stretch[rows] = self.first
        progress.halved[rows] = True  # the first checkpoint has none before it to compare with

    def after(self, now: StepState, losses: Tensor) -> tuple[StepState, Tensor, Tensor]:
        """Take account of the losses at the iterates.

        Args:
            now: the progress of some samples.
            losses: the losses (B,) at their iterates, on the CPU.

        Returns:
            Their progress with one more step taken; which iterates are the best so far; and which
            searches go back to their best points, with half the step size. Each (B,) bool.
        """
        first = now.taken == 0
        better = first | (losses > now.best)
        best = torch.where(better, losses, now.best)
        since = now.since + (~first).long()
        raised = now.raised + (~first & (losses > now.loss)).long()
        best_then = torch.where(first, best, now.best_then)
        due = since == now.stretch
        in_vain = ~now.halved & (best <= best_then)
        halved = due & ((raised <= ENOUGH * now.stretch) | in_vain)
        progress = replace(
            now,
            taken=now.taken + 1,
            step=torch.where(halved, now.step / 2, now.step),
            loss=losses,
            best=best,
            since=since.masked_fill(due, 0),
            stretch=torch.where(due, (now.stretch - self.less).clamp_min(self.least), now.stretch),
            raised=raised.masked_fill(due, 0),
            best_then=torch.where(due, best, best_then),
            halved=torch.where(due, halved, now.halved),
        )
        return progress, better, halved
