"""Projected gradient descent (Madry, Makelov, Schmidt, Tsipras, Vladu 2018).

:class:`_Algorithm` is the algorithm of the paper; :class:`_Search` runs it with continuous
batching.
"""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, UserError, register_attack
from robench.attack_tools.batching import run_batched
from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.losses import Loss, fooled, input_gradient, right
from robench.attack_tools.randomness import in_ball
from robench.attack_tools.sample_state import contiguous, read_rows, write_rows
from robench.attack_tools.threat_models import (
    Norm,
    ascent,
    check_choices,
    check_counts,
    check_radius,
    default_step_size,
    per_sample,
)


@register_attack("pgd", reference="arXiv:1706.06083")
@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient descent: steepest ascent inside the ball.

    Attributes:
        norm: norm of the perturbation ball.
        eps: its radius, for images in [0, 1].
        step_size: the length of a step, in the same norm; a quarter of ``eps`` if left out.
        steps: the number of steps.
        restarts: the number of searches, each from a new start; per sample, the first that fools
            the model is kept, else the last.
        random_start: start at a uniformly drawn point of the ball instead of at the image.
        loss: the loss to maximize: cross-entropy, or the margin of the best other class.
        judge: the iterate that is evaluated: the "last" one, as in the paper and the libraries, or
            "any" iterate that fools the model, which ends the search for its sample.

    Raises:
        UserError: if an option is out of range, or restarts would repeat the same search.
    """

    batches_itself: ClassVar[bool] = True
    moves_every_image: ClassVar[bool] = True

    norm: Norm = "linf"
    eps: float = 8 / 255
    step_size: float | None = None
    steps: int = 20
    restarts: int = 1
    random_start: bool = True
    loss: Loss = "ce"
    judge: Literal["last", "any"] = "last"

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        if self.step_size is None:  # a fixed one would not reach the border of a larger ball
            object.__setattr__(self, "step_size", default_step_size(self.eps))
        else:
            check_radius("step_size", self.step_size, self.norm)
            if self.step_size == 0 < self.eps:
                raise UserError("step_size is 0, so that no step moves; leave it out, or raise it.")
        check_choices(self, "loss", "judge")
        check_counts(self, "steps", "restarts")
        if self.restarts > 1 and not self.random_start:
            raise UserError(
                f"restarts is {self.restarts} but every search starts at the image: "
                f"set random_start=True or restarts=1."
            )

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Maximize the loss; one forward per step and per prediction that decides what follows."""
        return self.perturb_together([self], model, images, labels, rngs)[0]

    def shared_work(self) -> Hashable:
        """Return a key without the number of steps: 10 of them are the first of 20.

        With restarts it is part of the key: which samples are searched again depends on it.
        """
        return replace(self, samples=None, steps=1 if self.restarts == 1 else self.steps)

    @classmethod
    def perturb_together(
        cls,
        attacks: Sequence[Self],
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> list[Adversarial]:
        """Follow one trajectory for the largest number of steps; each attack takes its iterate."""
        longest = max(attacks, key=lambda attack: attack.steps)
        algorithm = _Algorithm(longest, model, images.float(), labels, rngs)
        found = _Search(algorithm, {attack.steps for attack in attacks}).run()
        return [found[attack.steps] for attack in attacks]


class _Algorithm:
    """The algorithm of the paper for the samples ``rows``; calls change only the generators.

    One search is::

        x = start(rows)
        for _ in range(attack.steps):
            x, _ = step(x, rows)

    It is repeated for the samples that are not ``fooled`` yet, ``attack.restarts`` times in all.
    """

    def __init__(
        self,
        attack: PGD,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> None:
        self.attack, self.model = attack, model
        self.images, self.labels, self.rngs = images, labels, rngs
        assert attack.step_size is not None  # PGD.__post_init__ has set it
        self.climb = ascent(images, attack.norm, attack.eps, attack.step_size)

    def start(self, rows: Tensor) -> Tensor:
        """Return points drawn uniformly from the balls around the images."""
        rngs = [self.rngs[i] for i in rows]
        delta = in_ball(rngs, self.images.shape[1:], self.attack.norm, self.attack.eps)
        return (self.images[rows] + delta.to(self.images.device)).clamp(0, 1)

    def step(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points one projected step of steepest ascent from x, and the logits at x."""
        gradient, logits = input_gradient(self.model, x, self.labels[rows], self.attack.loss)
        return self.climb(x, gradient, contiguous(rows)), logits

    def fooled(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return whether each float32 prediction at x is wrong, (B,) bool on the CPU."""
        return fooled(self.model, x, self.labels[rows]).cpu()


@dataclass(frozen=True, eq=False)
class _State:
    """State of each sample's search.

    Attributes:
        x: the iterates.
        taken: steps taken in the current restart; -1 before its start is drawn.
        restart: how many searches have ended without fooling the model.
        parked: whether the sample looks fooled and waits for the prediction that confirms it.
        cleared: whether a prediction has shown that the current iterate does not fool the model.
        forwards: forwards made for the sample.
        backwards: gradients taken for the sample.
    """

    x: Tensor
    taken: Tensor
    restart: Tensor
    parked: Tensor
    cleared: Tensor
    forwards: Tensor
    backwards: Tensor


class _Search:
    """The bookkeeping: samples advance independently of the batch they are in.

    Args:
        algorithm: the algorithm, with the largest number of steps.
        numbers: the numbers of steps after each of which the iterate is one attack's result.
    """

    def __init__(self, algorithm: _Algorithm, numbers: Collection[int]) -> None:
        self.algorithm, self.attack = algorithm, algorithm.attack
        images = algorithm.images
        count = torch.zeros(len(images), dtype=torch.int64)
        self.state = _State(
            x=images.clone(),
            taken=count - 1 if self.attack.random_start else count.clone(),
            restart=count.clone(),
            parked=count.bool(),
            cleared=count.bool(),
            forwards=count.clone(),
            backwards=count.clone(),
        )
        self.found = {
            steps: Adversarial(torch.empty_like(images), *(count.clone() for _ in range(3)))
            for steps in numbers
        }

    def run(self) -> dict[int, Adversarial]:
        """Search until every sample is finished; return the result of each number of steps."""
        model, left = self.algorithm.model, torch.arange(len(self.state.x))
        search = KeptSearch(model, self.state, *(self.found[n] for n in sorted(self.found)))
        while len(left):
            run_batched(model, left, self.advance, search)
            left = self._confirm()
        return self.found

    def advance(self, rows: Tensor) -> Tensor:
        """Take one step with each of the samples ``rows``; return which of them are finished."""
        self._start(rows)
        now = read_rows(self.state, rows)
        x, logits = self.algorithm.step(now.x, rows)
        parked = self._looks_fooled(now, logits, rows)
        if parked.any():  # they stay where they are
            x = torch.where(per_sample(parked, x), now.x, x)
        taken = now.taken + (~parked).long()
        ended = ~parked & (taken == self.attack.steps)
        again, asked = self._to_repeat(now, x, ended, rows)
        after = _State(
            x=x,
            taken=taken.masked_fill(again, -1),
            restart=now.restart + again.long(),
            parked=parked,
            cleared=torch.zeros_like(parked),
            forwards=now.forwards + 1 + asked.long(),
            backwards=now.backwards + 1,
        )
        for steps in self.found:
            due = (~parked & (taken == steps)).nonzero().squeeze(1)
            self._keep(steps, rows[due], read_rows(after, due))
        # Nothing above changes the state, so that the step can be repeated if memory runs out.
        write_rows(self.state, rows, after)
        return parked | (ended & ~again)

    def _start(self, rows: Tensor) -> None:
        """Draw the missing starts and store them: a generator yields each only once."""
        new = rows[self.state.taken[rows] < 0]
        if len(new):
            self.state.x[new] = self.algorithm.start(new)
            self.state.taken[new] = 0

    def _looks_fooled(self, now: _State, logits: Tensor, rows: Tensor) -> Tensor:
        """Return which samples to park; the logits that come with a gradient are not exact."""
        if self.attack.judge == "last":
            return torch.zeros(len(rows), dtype=torch.bool)
        wrong = ~right(logits, self.algorithm.labels[rows]).cpu()
        return wrong & (now.taken > 0) & ~now.cleared

    def _to_repeat(
        self, now: _State, x: Tensor, ended: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return which finished searches to restart, and which of them took a prediction."""
        asked = ended & (now.restart + 1 < self.attack.restarts)
        again = asked.clone()
        if asked.any():
            again[asked] = ~self.algorithm.fooled(x[asked.to(x.device)], rows[asked])
        return again, asked

    def _confirm(self) -> Tensor:
        """Predict the parked samples; return those that are not fooled after all."""
        state = self.state
        parked = state.parked.nonzero().squeeze(1)
        lost = torch.zeros(len(state.parked), dtype=torch.bool)

        def predict(rows: Tensor) -> Tensor:
            lost[rows] = self.algorithm.fooled(state.x[rows], rows)
            state.forwards[rows] += 1
            return torch.ones(len(rows), dtype=torch.bool)

        run_batched(self.algorithm.model, parked, predict)
        for steps in self.found:
            due = parked[lost[parked] & (state.taken[parked] < steps)]
            self._keep(steps, due, read_rows(state, due))
        state.parked[:] = False
        mistaken = parked[~lost[parked]]
        state.cleared[mistaken] = True  # they now take the step that they skipped
        return mistaken

    def _keep(self, steps: int, rows: Tensor, state: _State) -> None:
        """Store the iterates of the samples ``rows`` as their result after this many steps."""
        if len(rows):
            kept = Adversarial(state.x, state.forwards, state.forwards, state.backwards)
            write_rows(self.found[steps], rows, kept)
