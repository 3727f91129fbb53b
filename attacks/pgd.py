"""Projected gradient descent (Madry, Makelov, Schmidt, Tsipras, Vladu 2018)."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from robench.attack_tools.batching import run_batched
from robench.attack_tools.losses import Loss, fooled, input_gradient
from robench.attack_tools.randomness import in_ball
from robench.attack_tools.threat_models import Norm, ascent, check_radius, per_sample
from robench.base import Adversarial, Attack, LogitsModel
from robench.registry import register_attack


@register_attack("pgd", reference="arXiv:1706.06083")
@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient descent: steepest ascent inside the ball.

    Attributes:
        norm: the ball's norm.
        eps: its radius, for images in [0, 1].
        step_size: the length of a step, in the same norm; a quarter of ``eps`` if left out.
        steps: how many of them.
        restarts: searches from new starts; a sample's first that fools is kept, else its last.
        random_start: start uniformly in the ball, not at the image.
        loss: what is climbed: cross-entropy, or the margin of the best other class.
        judge: the iterate that counts: the "last" one, as in the paper and the libraries, or
            "any" of them that fools, which ends the search of its sample.

    Raises:
        ValueError: for an option out of range, or restarts that would repeat one search.
    """

    pools: ClassVar[bool] = True

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
            object.__setattr__(self, "step_size", self.eps / 4)
        else:
            check_radius("step_size", self.step_size, self.norm)
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more.")
        if self.restarts > 1 and not self.random_start:
            raise ValueError(
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
        """Climb the loss; a forward a step, and one for each verdict that decides what follows."""
        return self.perturb_together([self], model, images, labels, rngs)[0]

    def shared_work(self) -> Hashable:
        """Return a key that leaves out the steps: 10 of them are the first of 20.

        With restarts it does not: which samples are searched again depends on the steps.
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
        """Follow one trajectory to the largest number of steps; each attack takes its iterate."""
        search = _Search(attacks, model, images.float(), labels, rngs)
        search.run()
        return [search.result(attack.steps) for attack in attacks]


class _Search:
    """The state of every sample's search; samples advance in any company and at any pace."""

    def __init__(
        self,
        attacks: Sequence[PGD],
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> None:
        self.attack = max(attacks, key=lambda attack: attack.steps)
        self.model, self.images, self.labels, self.rngs = model, images, labels, rngs
        assert self.attack.step_size is not None  # PGD has put a quarter of eps there
        self.climb = ascent(images, self.attack.norm, self.attack.eps, self.attack.step_size)
        self.x = images.clone()
        count = len(images)
        self.taken = torch.zeros(count, dtype=torch.int64)  # steps of the present restart
        self.restart = torch.zeros(count, dtype=torch.int64)
        self.started = torch.full((count,), not self.attack.random_start)
        self.parked = torch.zeros(count, dtype=torch.bool)  # seems fooled, not judged yet
        self.cleared = torch.zeros(count, dtype=torch.bool)  # judged not to be fooled where it is
        self.forwards = torch.zeros(count, dtype=torch.int64)
        self.backwards = torch.zeros(count, dtype=torch.int64)
        self.kept = {attack.steps: self._empty() for attack in attacks}

    def run(self) -> None:
        """Search until every sample is through; what looks fooled on the way is judged at once."""
        left = torch.arange(len(self.images))
        while len(left):
            run_batched(self.model, left, self.advance)
            left = self._mistaken()

    def advance(self, rows: Tensor) -> Tensor:
        """Make one step of each of the samples ``rows``; return which of them are finished."""
        attack, labels, at = self.attack, self.labels[rows], _neighbours(rows)
        self._start(rows)
        x = self.x[at]
        gradient, logits = input_gradient(self.model, x, labels, attack.loss)
        stay = torch.zeros(len(rows), dtype=torch.bool)
        if attack.judge == "any":  # logits that come with a gradient are fast, not exact
            wrong = logits.argmax(1).ne(labels).cpu()
            stay = wrong & (self.taken[rows] > 0) & ~self.cleared[rows]
        moved = self.climb(x, gradient, at)

        ended = ~stay & (self.taken[rows] + 1 == attack.steps)
        again = ended & (self.restart[rows] + 1 < attack.restarts)
        asked = again.clone()
        if asked.any():
            again[asked] = ~self._fooled(moved[asked.to(x.device)], rows[asked])
        # Nothing above changes the state: where memory runs out the step is made again.
        self.forwards[rows] += 1 + asked.long()
        self.backwards[rows] += 1
        self.x[at] = torch.where(per_sample(stay, x), x, moved) if stay.any() else moved
        self.taken[rows] += (~stay).long()
        self.parked[rows], self.cleared[rows] = stay, False
        self._keep(rows[~stay], rows[ended & ~again])
        fresh = rows[again]
        self.taken[fresh], self.started[fresh] = 0, False
        self.restart[fresh] += 1
        return stay | (ended & ~again)

    def _mistaken(self) -> Tensor:
        """Judge the samples that stopped early; return those that are not fooled after all."""
        parked = self.parked.nonzero().squeeze(1)
        lost = torch.zeros(len(self.images), dtype=torch.bool)

        def judge(rows: Tensor) -> Tensor:
            lost[rows] = self._fooled(self.x[rows], rows)
            self.forwards[rows] += 1
            return torch.ones(len(rows), dtype=torch.bool)

        run_batched(self.model, parked, judge)
        self._keep(parked[:0], parked[lost[parked]])
        self.parked[:] = False
        mistaken = parked[~lost[parked]]
        self.cleared[mistaken] = True  # they make the step that they did not make
        return mistaken

    def result(self, steps: int) -> Adversarial:
        """Return what the search of ``steps`` steps found."""
        images, forwards, backwards = self.kept[steps]
        return Adversarial(images, forwards, forwards, backwards)

    def _start(self, rows: Tensor) -> None:
        """Give those of the samples that begin a search their start."""
        new = rows[~self.started[rows]]
        if len(new):
            rngs = [self.rngs[i] for i in new]
            start = in_ball(rngs, self.images.shape[1:], self.attack.norm, self.attack.eps)
            self.x[new] = (self.images[new] + start.to(self.x.device)).clamp(0, 1)
            self.started[new] = True

    def _keep(self, rows: Tensor, finished: Tensor) -> None:
        """Record samples for every number of steps at which they stand or before which they end.

        Args:
            rows: samples that have made a step.
            finished: samples whose search ends here.
        """
        for steps, (images, forwards, backwards) in self.kept.items():
            at, before = self.taken[rows] == steps, self.taken[finished] < steps
            mine = torch.cat([rows[at], finished[before]])
            images[mine] = self.x[mine]
            forwards[mine] = self.forwards[mine]
            backwards[mine] = self.backwards[mine]

    def _fooled(self, x: Tensor, rows: Tensor) -> Tensor:
        return fooled(self.model, x, self.labels[rows]).cpu()

    def _empty(self) -> tuple[Tensor, Tensor, Tensor]:
        count = torch.zeros(len(self.images), dtype=torch.int64)
        return torch.empty_like(self.images), count, count.clone()


def _neighbours(rows: Tensor) -> slice | Tensor:
    """Return rows that follow one another as a slice, which copies nothing; others as they are."""
    first, last = int(rows[0]), int(rows[-1])
    follow = last - first + 1 == len(rows) and bool((rows[1:] > rows[:-1]).all())
    return slice(first, last + 1) if follow else rows
