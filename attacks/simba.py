"""Simple black-box attack (Guo, Gardner, You, Wilson, Weinberger 2019), pixel basis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from robench.contracts import Adversarial, Attack, LogitsModel
from robench.losses import log_odds
from robench.randomness import permutations
from robench.registry import register_attack


@register_attack("simba", reference="arXiv:1905.07121")
@dataclass(frozen=True)
class SimBA(Attack):
    """SimBA: tries the pixels in random order, keeps what lowers the true class's probability.

    Algorithm 1 of the paper, for each image by itself: an order of its own, the first sign that
    lowers the probability is kept, and the search ends as soon as another class wins.

    Attributes:
        basis: the directions; "pixel" is a coordinate (channel, row, column) each.
        step: the change of a coordinate; there is no budget over all of them.
        max_steps: coordinates tried at most (None: all C*H*W).

    Raises:
        ValueError: for a step outside (0, 1] or max_steps below 1.
    """

    reports_queries: ClassVar[bool] = True

    basis: Literal["pixel"] = "pixel"
    step: float = 0.2
    max_steps: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise ValueError(f"step is {self.step:g}: it must be above 0 and at most 1.")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}: it must be 1 or more.")

    @torch.no_grad()
    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Search every image of the batch at once, a forward a direction.

        Queries are the directions tried, first -step, then +step if that did not help; forwards
        add the one that judges the clean image. A direction that the clamp to [0, 1] undoes
        is tried and charged like any other, and never kept.
        """
        x = images.float().flatten(1).clone()
        orders = permutations(rngs, x.shape[1])[:, : self.max_steps].to(x.device)
        logits = model(images.float()).float()
        # Log-odds order points as the probability does, but do not round to 1 with it.
        score, fooled = log_odds(logits, labels), logits.argmax(1) != labels
        queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        active = torch.arange(len(x), device=x.device)[~fooled]

        def attempt(rows: Tensor, pixels: Tensor, change: float) -> Tensor:
            """Try a pixel of each row, keep what lowers the probability; return the kept mask."""
            old = x[rows, pixels]
            new = (old + change).clamp(0, 1)
            candidates = x[rows].scatter(1, pixels[:, None], new[:, None])
            logits = model(candidates.view(-1, *images.shape[1:])).float()
            queries[rows] += 1
            risen = log_odds(logits, labels[rows])
            # Without a change there is none to judge: rounding would decide, batch by batch.
            kept = (risen > score[rows]) & (new != old)
            x[rows[kept], pixels[kept]] = new[kept]
            score[rows[kept]] = risen[kept]
            fooled[rows[kept]] = (logits.argmax(1) != labels[rows])[kept]
            return kept

        for i in range(orders.shape[1]):
            if not len(active):
                break
            pixels = orders[active, i]
            missed = ~attempt(active, pixels, -self.step)
            if missed.any():
                attempt(active[missed], pixels[missed], self.step)
            active = active[~fooled[active]]
        return Adversarial(x.view_as(images), queries, queries + 1)
