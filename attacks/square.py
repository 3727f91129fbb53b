"""Square attack: random search by queries alone (Andriushchenko et al. 2020).

:mod:`robench.attack_tools.patches` proposes changes; one that lowers the margin of the true class
is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, UserError, register_attack
from robench.attack_tools.batching import run_batched
from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.losses import margin, predict
from robench.attack_tools.patches import Patches
from robench.attack_tools.randomness import uniform
from robench.attack_tools.sample_state import choose, read_rows, write_rows
from robench.attack_tools.threat_models import Norm, check_counts, check_radius

BLOCK = 64
"""Number of proposals whose random numbers are drawn at once."""


@register_attack("square", reference="arXiv:1912.00049")
@dataclass(frozen=True)
class Square(Attack):
    """Random search: a random square is changed as far as the ball allows, and kept if it helps.

    Attributes:
        norm: norm of the perturbation ball.
        eps: its radius, for images in [0, 1].
        queries: the number of queries of a search, the first point included.
        area: the share of the image that the first squares cover.
        restarts: the number of searches, each from a new start.

    Raises:
        UserError: if an option is out of range.
    """

    reports_queries: ClassVar[bool] = True
    batches_itself: ClassVar[bool] = True

    norm: Norm = "linf"
    eps: float = 8 / 255
    queries: int = 5000
    area: float = 0.8
    restarts: int = 1

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        check_counts(self, "queries", "restarts")
        if not 0 < self.area <= 1:
            raise UserError(f"area is {self.area:g}: it must be above 0 and at most 1.")

    @torch.no_grad()
    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Search until the model is fooled, one forward per query that changes the image.

        Where it is not, the image of the smallest margin in the last search is returned.
        """
        images = images.float()
        return _Search(self, model, images, labels, rngs).run()


@dataclass(frozen=True, eq=False)
class _State:
    """State of each sample's search; all but ``best`` is on the CPU.

    Attributes:
        best: the point of the largest margin so far.
        margin: the best other logit minus the true one there.
        asked: queries made in the current search; 0 before its start.
        search: how many searches have ended without fooling the model.
        numbers: random numbers for the next proposals, drawn in blocks.
        drawn: how many blocks were drawn in the current search.
        queries: queries made in all.
        forwards: forwards made for them.
    """

    best: Tensor
    margin: Tensor
    asked: Tensor
    search: Tensor
    numbers: Tensor
    drawn: Tensor
    queries: Tensor
    forwards: Tensor


class _Search:
    """The bookkeeping: samples advance independently of the batch they are in."""

    def __init__(
        self,
        attack: Square,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> None:
        self.attack, self.model, self.labels, self.rngs = attack, model, labels, rngs
        self.patches = Patches(attack.norm, attack.eps, attack.area, attack.queries, images)
        count = torch.zeros(len(images), dtype=torch.int64)
        self.state = _State(
            best=images.clone(),
            margin=torch.full((len(images),), -torch.inf),
            asked=count.clone(),
            search=count.clone(),
            numbers=torch.zeros(len(images), BLOCK, self.patches.numbers),
            drawn=count.clone(),
            queries=count.clone(),
            forwards=count.clone(),
        )

    def run(self) -> Adversarial:
        """Search until every sample is finished."""
        state, count = self.state, len(self.rngs)
        run_batched(self.model, torch.arange(count), self.advance, KeptSearch(self.model, state))
        return Adversarial(state.best, state.queries, state.forwards, torch.zeros_like(state.asked))

    def advance(self, rows: Tensor) -> Tensor:
        """Make one query for each of the samples ``rows``; return which of them are finished."""
        self._draw(rows)
        now = read_rows(self.state, rows)
        first, at = now.asked == 0, (now.asked - 1).clamp_min(0) % BLOCK
        numbers = now.numbers[torch.arange(len(rows)), at]
        proposed = self.patches.propose(now.best, now.asked, numbers, rows)
        x = choose(first, now.best, proposed)
        # A proposal that changes nothing is a query like any other, but its margin is known.
        asked = first | (x != now.best).flatten(1).any(1).cpu()
        found = self._margins(x, rows, asked)
        keep = first | (asked & (found > now.margin))
        best_margin = torch.where(keep, found, now.margin)
        won = best_margin > 0
        ended = ~won & (now.asked + 1 == self.attack.queries)
        again = ended & (now.search + 1 < self.attack.restarts)
        after = _State(
            best=choose(keep, x, now.best),
            margin=best_margin,
            asked=(now.asked + 1).masked_fill(again, 0),
            search=now.search + again.long(),
            numbers=now.numbers,
            drawn=now.drawn.masked_fill(again, 0),
            queries=now.queries + 1,
            forwards=now.forwards + asked.long(),
        )
        # Nothing above changes the state, so that the query can be repeated if memory runs out.
        write_rows(self.state, rows, after)
        return won | (ended & ~again)

    def _margins(self, x: Tensor, rows: Tensor, asked: Tensor) -> Tensor:
        """Return the margins at x, (B,) on the CPU; -inf where they are not asked for."""
        margins = torch.full((len(rows),), -torch.inf)
        at = asked.nonzero().squeeze(1).to(x.device)
        if len(at):
            points = x if len(at) == len(x) else x[at]
            logits = predict(self.model, points)
            found = margin(logits, self.labels[rows][at])
            margins[asked] = found.masked_fill(~logits.isfinite().all(1), torch.inf).cpu()
        return margins

    def _draw(self, rows: Tensor) -> None:
        """Draw what is missing and store it: a generator yields each number only once."""
        state, patches = self.state, self.patches
        new = rows[state.drawn[rows] == 0]
        if len(new):
            numbers = uniform([self.rngs[i] for i in new], (patches.starts,))
            state.best[new] = patches.start(numbers, new)
        short = rows[state.asked[rows] > BLOCK * state.drawn[rows]]
        for due in (new, short):
            if len(due):
                shape = (BLOCK, patches.numbers)
                state.numbers[due] = uniform([self.rngs[i] for i in due], shape)
                state.drawn[due] += 1
