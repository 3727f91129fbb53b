"""Simple black-box attack (Guo, Gardner, You, Wilson, Weinberger 2019), pixel and DCT basis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from robench.attack_tools.batching import run_batched
from robench.attack_tools.directions import BASES, Basis, BasisName
from robench.attack_tools.losses import log_odds, predict
from robench.attack_tools.randomness import permutations, uniform
from robench.attack_tools.threat_models import per_sample
from robench.base import Adversarial, Attack, LogitsModel
from robench.registry import register_attack


@register_attack("simba", reference="arXiv:1905.07121")
@dataclass(frozen=True)
class SimBA(Attack):
    """SimBA: tries directions in random order, keeps what lowers the true class's probability.

    Algorithm 1 of the paper, for each image by itself: an order of its own, the first sign that
    lowers the probability is kept, and the search ends as soon as another class wins.

    Attributes:
        basis: the directions: "pixel", a coordinate (channel, row, column) each; or "dct", a cosine
            of the whole image in one channel.
        step: the length of a change; there is no budget over all of them.
        max_steps: directions tried at most (None: all of them).
        frequencies: with "dct", the lowest so many along each side (None: all).
        targeted: raise the probability of another class, drawn at random, and stop when it wins.
        mode: "paper", Algorithm 1; or "original", the batch code of its authors: one order for all
            images, both signs always tried and the better one kept, but two queries charged only
            where the first did not help.

    Raises:
        ValueError: for a step outside (0, 1], or max_steps or frequencies below 1.
    """

    reports_queries: ClassVar[bool] = True
    pools: ClassVar[bool] = True

    basis: BasisName = "pixel"
    step: float = 0.2
    max_steps: int | None = None
    frequencies: int | None = None
    targeted: bool = False
    mode: Literal["paper", "original"] = "paper"

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise ValueError(f"step is {self.step:g}: it must be above 0 and at most 1.")
        for name in ("max_steps", "frequencies"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}: it must be 1 or more.")
        if self.frequencies is not None and self.basis == "pixel":
            raise ValueError("frequencies are for the basis 'dct'; leave them out with 'pixel'.")

    @torch.no_grad()
    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Search every image at its own pace, a forward a direction.

        Queries are the directions tried, first -step, then +step if that did not help; forwards
        add the one that judges the clean image. A direction that the clamp to [0, 1] undoes
        is tried and charged like any other, and never kept.
        """
        search = _Search(self, model, images.float(), labels, rngs)
        run_batched(model, torch.arange(len(images)), search.advance)
        none = torch.zeros_like(search.queries)
        return Adversarial(search.current(), search.queries, search.forwards, none)


_LOOK, _MINUS, _PLUS = 0, -1, 1
"""What the next forward of a sample is for: the image itself, or a direction with this sign."""


class _Search:
    """The state of every image's search."""

    def __init__(
        self,
        attack: SimBA,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> None:
        self.attack, self.model, self.images, self.labels = attack, model, images, labels
        self.rngs = rngs
        self.basis: Basis = BASES[attack.basis](images, attack.frequencies)
        count, device = len(images), images.device
        self.orders = _orders(attack, rngs, self.basis.size)
        self.delta = torch.zeros_like(images)  # not clamped
        self.score = torch.full((count,), -torch.inf, device=device)
        self.first = self.score.clone()  # of -step, where both signs are compared
        self.first_won = torch.zeros(count, dtype=torch.bool, device=device)
        self.phase = torch.full((count,), _LOOK)
        self.position = torch.zeros(count, dtype=torch.int64)
        self.queries = torch.zeros(count, dtype=torch.int64)
        self.forwards = torch.zeros(count, dtype=torch.int64)
        self.targets = labels.clone()

    def current(self) -> Tensor:
        """Return the images as they are now."""
        return (self.images + self.delta).clamp(0, 1)

    def advance(self, rows: Tensor) -> Tensor:
        """Make one forward for each of the samples ``rows``; return which are finished."""
        images, delta, phase = self.images[rows], self.delta[rows], self.phase[rows]
        column = self.position[rows].clamp_max(self.orders.shape[1] - 1)
        change = self.basis.directions(self.orders[rows, column]) * (
            self.attack.step * per_sample(phase, images)
        )
        now, candidates = (images + delta).clamp(0, 1), (images + delta + change).clamp(0, 1)
        logits = predict(self.model, candidates)

        look = phase == _LOOK
        if self.attack.targeted and look.any():
            self._draw_targets(rows[look], logits.shape[1])
        won, score = self._won(logits, rows), self._score(logits, rows)
        # Without a change there is none to judge: rounding would decide, batch by batch.
        changed = (candidates != now).flatten(1).any(1)
        better = (score > self.score[rows]) & changed
        self.forwards[rows] += 1
        self.score[rows[look]] = score[look.to(score.device)]
        if self.attack.mode == "paper":
            kept, settled, lost = better, better.cpu() | (phase == _PLUS), None
        else:
            kept, lost = self._compared(rows, phase, score, better, won)
            settled = phase == _PLUS
        self.queries[rows] += self._charged(phase, better)
        take = kept & ~look.to(kept.device)
        self.delta[rows] = torch.where(per_sample(take, images), delta + change, delta)
        if lost is not None:
            back = per_sample(lost, images)  # -step after all, seen one forward ago
            self.delta[rows] = torch.where(back, delta - change, self.delta[rows])
            won = torch.where(lost, self.first_won[rows], won)
            score = torch.where(lost, self.first[rows], score)
            take = take | lost
        self.score[rows] = torch.where(take, score, self.score[rows])

        settled &= ~look
        self.phase[rows] = torch.where(settled | look, _MINUS, _PLUS)
        self.position[rows] += settled.long()
        fooled = (won & (take | look.to(take.device))).cpu()
        return fooled | (self.position[rows] == self.orders.shape[1])

    def _compared(
        self, rows: Tensor, phase: Tensor, score: Tensor, better: Tensor, won: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return where +step is kept, and where -step is since +step is no better."""
        minus, plus = (phase == _MINUS).to(score.device), (phase == _PLUS).to(score.device)
        helped = torch.where(better, score, -torch.inf)  # what does not help is no candidate
        first = torch.where(minus, helped, self.first[rows])
        self.first[rows] = first
        self.first_won[rows] = torch.where(minus, won, self.first_won[rows])
        kept = plus & better & (score > first)
        return kept, plus & ~kept & (first > -torch.inf)

    def _charged(self, phase: Tensor, better: Tensor) -> Tensor:
        """Return what a forward is charged: the image itself is free."""
        if self.attack.mode == "paper":
            return phase.ne(_LOOK).long()
        return phase.eq(_MINUS).long() * (1 + (~better).long().cpu())

    def _draw_targets(self, rows: Tensor, classes: int) -> None:
        draws = uniform([self.rngs[i] for i in rows], (1,)).squeeze(1)
        shift = 1 + (draws * (classes - 1)).long()
        self.targets[rows] = (self.labels[rows] + shift.to(self.labels.device)) % classes

    def _score(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return what is to rise; log-odds order points as the probability does, unrounded."""
        odds = log_odds(logits, self.targets[rows])
        return -odds if self.attack.targeted else odds

    def _won(self, logits: Tensor, rows: Tensor) -> Tensor:
        same = logits.argmax(1) == self.targets[rows]
        return same if self.attack.targeted else ~same


def _orders(attack: SimBA, rngs: Sequence[Generator], size: int) -> Tensor:
    """Return the order of directions of each image, (B, steps) int32 to spare memory."""
    if attack.mode == "original":
        shared = torch.randperm(size, generator=Generator().manual_seed(0))
        orders = shared.expand(len(rngs), -1)
    else:
        orders = permutations(rngs, size)
    return orders[:, : attack.max_steps].int()
