"""Simple black-box attack (Guo, Gardner, You, Wilson, Weinberger 2019), pixel and DCT basis.

:class:`_Algorithm1` is the algorithm of the paper, :class:`_AuthorsCode` the batch code of its
authors; both query the model through :class:`_Queries`, and samples advance independently of the
batch they are in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, UserError, register_attack
from robench.attack_tools.batching import run_batched
from robench.attack_tools.directions import BASES, Basis, BasisName
from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.losses import log_odds, minus_probability, predict, right
from robench.attack_tools.randomness import permutations, uniform
from robench.attack_tools.sample_state import Table, choose, contiguous, read_rows, write_rows
from robench.attack_tools.threat_models import check_choices, check_counts, per_sample
from robench.base import ADDED_LATER

Score = Literal["log-odds", "probability"]
"""What a search climbs; see :class:`SimBA`."""


@register_attack("simba", reference="arXiv:1905.07121")
@dataclass(frozen=True)
class SimBA(Attack):
    """SimBA: tries directions in random order, keeps those that make the true class less likely.

    Algorithm 1 of the paper, run independently for each image: each has its own order of
    directions, the first sign that lowers the probability is kept, and the search ends as soon as
    another class wins.

    Attributes:
        basis: the search directions: "pixel", one coordinate (channel, row, column) each; or "dct",
            a cosine over the whole image in one channel each.
        step: the length of one step; the perturbation as a whole is not bounded.
        max_steps: the largest number of directions to try (None: all of them).
        frequencies: with "dct", how many of the lowest along each side to use (None: all).
        targeted: raise the probability of another class, drawn at random, and stop when it wins.
        mode: "paper", Algorithm 1; or "original", the batch code of its authors: one order for all
            images, both signs always tried and the better one kept, but two queries charged only
            if the first sign did not help.
        score: what a direction must improve to be kept: "log-odds" of the true class, which resolve
            any confidence; or its "probability", the float32 softmax of the authors' batch code.
            From a margin of about 17 logits on the latter is exactly 1, so that no direction
            improves it and the search is blind. None: "probability" in the original mode,
            "log-odds" in the paper's.

    Raises:
        UserError: if step is outside (0, 1], max_steps or frequencies is below 1, or frequencies is
            set for the pixel basis.
    """

    reports_queries: ClassVar[bool] = True
    batches_itself: ClassVar[bool] = True

    basis: BasisName = "pixel"
    step: float = 0.2
    max_steps: int | None = None
    frequencies: int | None = None
    targeted: bool = False
    mode: Literal["paper", "original"] = "paper"
    score: Score | None = field(default=None, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        check_choices(self, "basis", "mode", "score")
        if self.score is None and self.mode == "original":
            object.__setattr__(self, "score", "probability")
        if not 0 < self.step <= 1:
            raise UserError(f"step is {self.step:g}: it must be above 0 and at most 1.")
        check_counts(self, "max_steps", "frequencies")
        if self.frequencies is not None and self.basis == "pixel":
            raise UserError("frequencies are for the basis 'dct'; leave them out with 'pixel'.")

    @torch.no_grad()
    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Search for each image independently, one forward per query.

        Queries are the directions tried, first -step, then +step if that did not help; forwards
        also include the one that evaluates the clean image. A direction that the clamp to [0, 1]
        undoes is tried and charged like any other, and never kept.
        """
        images = images.float()
        queries = _Queries(self, model, images, labels, rngs)
        search = _Algorithm1(queries) if self.mode == "paper" else _AuthorsCode(queries)
        kept = KeptSearch(model, *search.tables)
        run_batched(model, torch.arange(len(images)), search.advance, kept)
        found, none = search.state, torch.zeros(len(images), dtype=torch.int64)
        x = (images + found.delta).clamp(0, 1)
        return Adversarial(x, found.queries, found.forwards, none)


@dataclass(frozen=True, eq=False)
class _State:
    """State of each image's search; all but ``delta`` is on the CPU.

    Attributes:
        delta: the perturbation, not clamped.
        score: the score of the perturbed image; -inf before the clean image has been evaluated.
        position: the position in the order of directions; -1 before the clean image has been
            evaluated.
        sign: the sign of the direction that is tried next; 0 for the clean image.
        queries: the queries that the mode charges.
        forwards: the queries actually made, plus one for the clean image.
    """

    delta: Tensor
    score: Tensor
    position: Tensor
    sign: Tensor
    queries: Tensor
    forwards: Tensor

    @classmethod
    def initial(cls, images: Tensor) -> Self:
        """Return the state before anything has been tried."""
        count = torch.zeros(len(images), dtype=torch.int64)
        return cls(
            delta=torch.zeros_like(images),
            score=torch.full((len(images),), -torch.inf),
            position=count - 1,
            sign=count.clone(),
            queries=count.clone(),
            forwards=count.clone(),
        )


class _Algorithm1:
    """Algorithm 1 of the paper: the first sign that helps is kept."""

    def __init__(self, queries: "_Queries") -> None:
        self.queries = queries
        self.state = _State.initial(queries.images)
        self.tables: tuple[Table, ...] = (self.state, queries.goal.state)

    def advance(self, rows: Tensor) -> Tensor:
        """Try -step, else +step, and keep what helps; return which of ``rows`` are finished."""
        now = read_rows(self.state, rows)
        tried = self.queries.ask(rows, now)
        keep = tried.helps | (now.sign == 0)
        settled = keep | (now.sign > 0)
        position = now.position + settled.long()
        after = _State(
            delta=choose(keep, now.delta + tried.change, now.delta),
            score=torch.where(keep, tried.score, now.score),
            position=position,
            sign=torch.where(settled, -1, 1),
            queries=now.queries + now.sign.abs(),
            forwards=now.forwards + 1,
        )
        write_rows(self.state, rows, after)
        return (keep & tried.won) | (position == self.queries.max_directions)


@dataclass(frozen=True, eq=False)
class _Minus:
    """Result of -step for each image: its score, -inf if it did not help, and whether it won."""

    score: Tensor
    won: Tensor


class _AuthorsCode:
    """The authors' batch code: both signs are tried, and the better one that helps is kept."""

    def __init__(self, queries: "_Queries") -> None:
        self.queries = queries
        self.state = _State.initial(queries.images)
        self.minus = _Minus(self.state.score.clone(), self.state.sign.bool())
        self.tables: tuple[Table, ...] = (self.state, self.minus, queries.goal.state)

    def advance(self, rows: Tensor) -> Tensor:
        """Try -step, then +step, and keep the better; return which of ``rows`` are finished."""
        now, minus = read_rows(self.state, rows), read_rows(self.minus, rows)
        tried = self.queries.ask(rows, now)
        clean, second = now.sign == 0, now.sign > 0
        plus_better = second & tried.helps & (tried.score > minus.score)
        minus_better = second & ~plus_better & (minus.score > -torch.inf)
        keep, settled = clean | plus_better, clean | second
        position = now.position + settled.long()
        delta = choose(keep, now.delta + tried.change, now.delta)
        score = torch.where(keep, tried.score, now.score)
        after = _State(
            delta=choose(minus_better, now.delta - tried.change, delta),
            score=torch.where(minus_better, minus.score, score),
            position=position,
            sign=torch.where(settled, -1, 1),
            # Two are charged only if the first did not help.
            queries=now.queries + (now.sign < 0).long() * (2 - tried.helps.long()),
            forwards=now.forwards + 1,
        )
        won = (keep & tried.won) | (minus_better & minus.won)
        helped = torch.where(tried.helps, tried.score, -torch.inf)
        write_rows(self.minus, rows, _Minus(helped, tried.won))
        write_rows(self.state, rows, after)
        return won | (position == self.queries.max_directions)


@dataclass(frozen=True, eq=False)
class _Tried:
    """Result of one query per image; all but ``change`` is on the CPU.

    Attributes:
        change: the step that was tried.
        score: the score after it; see :class:`_Goal`.
        helps: whether the score is higher than before.
        won: whether the search would be over.
    """

    change: Tensor
    score: Tensor
    helps: Tensor
    won: Tensor


class _Queries:
    """Queries to the model: the orders of directions, and the scores of its answers."""

    def __init__(
        self,
        attack: SimBA,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> None:
        self.model, self.images, self.step = model, images, attack.step
        self.basis: Basis = BASES[attack.basis](images, attack.frequencies)
        self.orders = _orders(attack, rngs, self.basis.size)
        self.max_directions = self.orders.shape[1]
        self.goal = _Goal(attack, labels, rngs)

    def ask(self, rows: Tensor, now: _State) -> _Tried:
        """Make the next query for each of the samples ``rows``."""
        images = self.images[contiguous(rows)]
        numbers = self.orders[rows, now.position.clamp_min(0)]
        change = self.basis.directions(numbers) * (self.step * per_sample(now.sign, images))
        x = images + now.delta
        candidates = (x + change).clamp(0, 1)
        logits = predict(self.model, candidates)
        score, won = self.goal.of(logits, rows)
        # If the image did not change, rounding would decide, and differently from batch to batch.
        changed = (candidates != x.clamp(0, 1)).flatten(1).any(1).cpu()
        return _Tried(change, score, (score > now.score) & changed, won)


@dataclass(frozen=True, eq=False)
class _Targets:
    """Each image's class to leave or to reach, and whether it needs no further draw."""

    classes: Tensor
    drawn: Tensor


class _Goal:
    """The goal of a search, and its score: leave the true class, or reach a target class."""

    def __init__(self, attack: SimBA, labels: Tensor, rngs: Sequence[Generator]) -> None:
        self.targeted, self.labels, self.rngs = attack.targeted, labels, rngs
        self.unlikely = minus_probability if attack.score == "probability" else log_odds
        self.state = _Targets(labels.long().clone(), torch.full(labels.shape, not attack.targeted))

    def of(self, logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and whether the searches are over, each (B,) on the CPU.

        The score is how unlikely the true class is, or how likely the target.
        """
        self._draw(rows[~self.state.drawn[rows]], logits.shape[1])
        targets = self.state.classes[rows]
        same, answered = right(logits, targets).cpu(), logits.isfinite().all(1)
        score = torch.where(answered, self.unlikely(logits, targets), torch.inf).cpu()
        return (-score, same) if self.targeted else (score, ~same)

    def _draw(self, rows: Tensor, classes: int) -> None:
        """Draw targets for these samples; the number of classes is known from the first logits."""
        if len(rows):
            draws = uniform([self.rngs[i] for i in rows], (1,)).squeeze(1)
            shift = 1 + (draws * (classes - 1)).long()
            self.state.classes[rows] = (self.labels[rows] + shift.to(self.labels.device)) % classes
            self.state.drawn[rows] = True


def _orders(attack: SimBA, rngs: Sequence[Generator], size: int) -> Tensor:
    """Return the order of directions of each image, (B, steps) int32 to save memory."""
    if attack.mode == "original":
        orders = torch.randperm(size, generator=Generator().manual_seed(0)).expand(len(rngs), -1)
    else:
        orders = permutations(rngs, size)
    return orders[:, : attack.max_steps].int()
