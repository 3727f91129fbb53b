"""Attacks that know how a model hides from PGD: they measure its true robust accuracy.

Each searches in the ball of the zoo's threat model along the gradients of a *stand-in* that the
attacker can differentiate: the network without its defense, a copy whose flat parts pass gradients
on (BPDA), another network (transfer), or the model itself. What it finds is shown to the model
itself again and again; an image survives if the model is right about all that was found.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench import Attack, evaluate
from robench.attack_tools.losses import log_odds, margin
from robench.attacks.square import Square
from robench.errors import RobenchWarning
from robench.models.frozen import under_attack
from zoo.entry import THREAT_MODEL, Survivors
from zoo.parts import Defended, with_gradient_of
from zoo.trained import network

StandIn = Callable[[nn.Module], nn.Module]
"""The model -> what the attacker differentiates instead."""

Right = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(model, images, labels) -> whether the model is right, (N,) bool."""

Repair = Callable[[Tensor, Tensor], Tensor]
"""(perturbed images, images) -> perturbed images that a detector lets pass, in the same ball."""


def once(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return whether the model is right, from one forward of all images."""
    with torch.no_grad():
        return model(images).argmax(1) == labels


def by_majority(forwards: int) -> Right:
    """Return whether a random model is right in more than half of so many forwards."""

    def right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        hits = sum(once(model, images, labels).long() for _ in range(forwards))
        return torch.as_tensor(2 * hits > forwards)

    return right


def alone(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return whether the model is right about each image in a batch of its own."""
    rows = zip(images.split(1), labels.split(1), strict=True)
    return torch.cat([once(model, image, label) for image, label in rows])


def on_fresh(build: Callable[[], nn.Module]) -> Right:
    """Return whether a new copy of the model, which has seen nothing else, is right."""
    return lambda model, images, labels: once(build().to(images.device), images, labels)


def itself(model: nn.Module) -> nn.Module:
    """Return the model: its gradients are right, but PGD-20 makes too little of them."""
    return model


def undefended(model: nn.Module) -> nn.Module:
    """Return the network inside the model, without what is before and after it."""
    return model.get_submodule("network")


def straight_through(model: nn.Module) -> nn.Module:
    """Return a copy that computes what is before the network, and differentiates the identity."""
    assert isinstance(model, Defended)
    before = model.before
    assert before is not None
    return Defended(before=lambda x: with_gradient_of(before(x), x), inside=model.network)


@dataclass(frozen=True)
class Search:
    """Ascent on a stand-in, from random starts; callable as the ``adaptive`` of an entry.

    The loss is the log-odds against the true class, and the margin in every second restart; neither
    saturates. The step size falls from a quarter of the radius to nothing.

    Attributes:
        stand_in: what is differentiated.
        steps: steps of a search.
        restarts: searches per image, each from a new start in the ball.
        draws: gradients that are averaged for each step, for models that draw random numbers (EOT).
        blur: uniform noise of this size is added at each draw, to average over a rough loss.
        right: how the model is asked whether it is right.
        every: it is asked after every so many steps.
        repair: what is done to the perturbed images before the model is asked.
    """

    stand_in: StandIn = itself
    steps: int = 60
    restarts: int = 3
    draws: int = 1
    blur: float = 0.0
    right: Right = once
    every: int = 10
    repair: Repair | None = None

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return which images survive, (N,) bool; those that are wrong at the start do not."""
        with torch.random.fork_rng(devices=[]), under_attack(model):
            torch.manual_seed(0)
            stand_in = self.stand_in(model)
            left = self.right(model, images, labels)
            for restart in range(self.restarts):
                if left.any():
                    loss = (log_odds, margin)[restart % 2]
                    left[left.clone()] = self._survive(
                        model, stand_in, images[left], labels[left], loss
                    )
        return left

    def _survive(
        self,
        model: nn.Module,
        stand_in: nn.Module,
        images: Tensor,
        labels: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Return which images survive one search."""
        # What was found is not searched further.
        left = torch.arange(len(images), device=images.device)
        x = _inside(images + THREAT_MODEL.eps * (2 * torch.rand_like(images) - 1), images)
        for step in range(1, self.steps + 1):
            length = THREAT_MODEL.eps / 8 * (1 + math.cos(math.pi * step / self.steps))
            gradient = self._gradient(stand_in, x, labels[left], loss)
            x = _inside(x + length * gradient.sign(), images[left])
            if step % self.every == 0 or step == self.steps:
                found = x if self.repair is None else self.repair(x, images[left])
                right = self.right(model, found, labels[left])
                left, x = left[right], x[right]
                if not len(left):
                    break
        return torch.zeros_like(labels, dtype=torch.bool).index_fill(0, left, True)

    def _gradient(
        self,
        stand_in: nn.Module,
        x: Tensor,
        labels: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        total = torch.zeros_like(x)
        for _ in range(self.draws):
            moved = (x + self.blur * (2 * torch.rand_like(x) - 1)) if self.blur else x
            inputs = moved.detach().requires_grad_()
            total += torch.autograd.grad(loss(stand_in(inputs), labels).sum(), inputs)[0]
        return total


def bpda(**options: object) -> Search:
    """Return a search through a flat transform of the images as if it were the identity."""
    return Search(straight_through, **options)  # type: ignore[arg-type]


def eot(stand_in: StandIn = itself, draws: int = 10, blur: float = 0.0) -> Search:
    """Return a search for models that draw random numbers: 40 steps of averaged gradients.

    An image survives if the model is right in the majority of 11 forwards.
    """
    return Search(stand_in, steps=40, restarts=2, draws=draws, blur=blur, right=by_majority(11))


def transfer(name: str, right: Right = once) -> Search:
    """Return a search on another network, by its name in :mod:`zoo.trained`."""
    return Search(lambda model: network(name), right=right)


def square(queries: int) -> Survivors:
    """Return robench's Square with so many queries; it needs no gradients."""

    def survive(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        attack: Attack = Square(eps=THREAT_MODEL.eps, queries=queries)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RobenchWarning)  # which shortcuts are not taken
            (outcomes,) = evaluate(model, images, labels, [attack]).attacks.values()
        return torch.from_numpy(outcomes.robust.copy()).to(images.device)

    return survive


def one_after_another(*attacks: Survivors) -> Survivors:
    """Return an attack that gives the survivors of each attack to the next."""

    def survive(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        left = torch.ones_like(labels, dtype=torch.bool)
        for attack in attacks:
            if left.any():
                left[left.clone()] = attack(model, images[left], labels[left])
        return left

    return survive


def _inside(x: Tensor, images: Tensor) -> Tensor:
    eps = THREAT_MODEL.eps
    return x.clamp(images - eps, images + eps).clamp(0, 1)
