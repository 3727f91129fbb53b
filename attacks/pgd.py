"""Projected gradient descent (Madry, Makelov, Schmidt, Tsipras, Vladu 2018)."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

import torch
from torch import Generator, Tensor

from robench.contracts import Adversarial, Attack, LogitsModel
from robench.geometry import Norm, check_radius, project, steepest
from robench.losses import Loss, input_gradient
from robench.randomness import in_ball
from robench.registry import register_attack


@register_attack("pgd", reference="arXiv:1706.06083")
@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient descent: steepest ascent inside the ball; the last iterate is judged.

    Attributes:
        norm: the ball's norm.
        eps: its radius, for images in [0, 1].
        step_size: the length of a step, in the same norm.
        steps: how many of them.
        restarts: searches from new starts; a sample's first that fools is kept, else its last.
        random_start: start uniformly in the ball, not at the image.
        loss: what is climbed: cross-entropy, or the margin of the best other class.

    Raises:
        ValueError: for an option out of range, or restarts that would repeat one search.
    """

    norm: Norm = "linf"
    eps: float = 8 / 255
    step_size: float = 2 / 255
    steps: int = 20
    restarts: int = 1
    random_start: bool = True
    loss: Loss = "ce"

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
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
        """Climb the loss; a forward a step, and one to judge each restart but the last."""
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
        longest = max(attacks, key=lambda attack: attack.steps)
        images = images.float()
        if longest.restarts > 1:
            return [_restarted(longest, model, images, labels, rngs)] * len(attacks)
        wanted = {attack.steps for attack in attacks}
        iterates = islice(_ascent(longest, model, images, labels, rngs), longest.steps)
        reached = {step: x for step, x in enumerate(iterates, start=1) if step in wanted}
        results = []
        for attack in attacks:
            cost = torch.full((len(images),), attack.steps)
            results.append(Adversarial(reached[attack.steps], queries=cost, forwards=cost))
        return results


def _ascent(
    attack: PGD, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
) -> Iterator[Tensor]:
    """Yield the iterates of a search without end; each is in the ball and in [0, 1]."""
    norm, eps = attack.norm, attack.eps
    x = images
    if attack.random_start:
        x = (images + in_ball(rngs, images.shape[1:], norm, eps).to(images.device)).clamp(0, 1)
    while True:
        direction = steepest(input_gradient(model, x, labels, attack.loss), norm)
        # Clamping after the projection leaves no ball: it only moves pixels towards the image.
        delta = project(x + attack.step_size * direction - images, norm, eps)
        x = (images + delta).clamp(0, 1)
        yield x


def _restarted(
    attack: PGD, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[Generator]
) -> Adversarial:
    """Search again and again, each time only the samples that are not yet fooled."""
    best, cost = images.clone(), torch.zeros(len(images), dtype=torch.int64)
    left = torch.arange(len(images))
    for restart in range(attack.restarts):
        search = _ascent(attack, model, images[left], labels[left], [rngs[i] for i in left])
        x = next(islice(search, attack.steps - 1, None))
        best[left] = x
        cost[left] += attack.steps
        if restart == attack.restarts - 1:
            break
        with torch.no_grad():
            missed = model(x).argmax(1) == labels[left]
        cost[left] += 1
        left = left[missed.cpu()]
        if not len(left):
            break
    return Adversarial(best, queries=cost, forwards=cost)
