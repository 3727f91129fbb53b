"""Auto-PGD: PGD that chooses its step sizes itself (Croce and Hein 2020).

:class:`_Algorithm` has the steps of the paper's Algorithm 1,
:mod:`robench.attack_tools.step_control` the rule for their sizes; :class:`_Search` runs both with
continuous batching.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, UserError, register_attack
from robench.attack_tools.batching import run_batched
from robench.attack_tools.kept_search import KeptSearch
from robench.attack_tools.losses import (
    ascent_direction,
    dlr,
    fooled,
    log_odds,
    right,
    targeted_dlr,
)
from robench.attack_tools.randomness import on_sphere
from robench.attack_tools.sample_state import choose, contiguous, read_rows, write_rows
from robench.attack_tools.step_control import StepControl, StepState
from robench.attack_tools.targets import likeliest_others, nearest_first
from robench.attack_tools.threat_models import (
    Norm,
    check_choices,
    check_counts,
    check_radius,
    per_sample,
    projection,
    steepest,
)
from robench.attack_tools.victims import class_count
from robench.base import ADDED_LATER

MOMENTUM = 0.75
"""The share of the new step in an update, alpha; the rest is that of the last update."""

CANDIDATES = 100
"""Among how many of the likeliest classes MALT looks for the nearest."""


@register_attack("apgd", reference="arXiv:2003.01690")
@dataclass(frozen=True)
class APGD(Attack):
    """Auto-PGD: momentum, and a step size that is halved where the loss no longer rises.

    Attributes:
        norm: norm of the perturbation ball.
        eps: its radius, for images in [0, 1].
        loss: the loss to maximize: cross-entropy; the difference-of-logits ratio, which does not
            depend on the scale of the logits; or that ratio for target classes, one after the
            other.
        steps: the number of steps of a search.
        restarts: the number of searches, each from a new start; with target classes, for each.
        targets: the number of target classes.
        order: which classes these are, and in which order: the likeliest other classes of the
            clean image, or the nearest of the 100 likeliest ones if the network were linear (MALT,
            arXiv 2407.02240), for which it takes a gradient for each of these 100.
        averaged: the number of gradients that are averaged at each step, for randomized networks.

    Raises:
        UserError: if an option is out of range.
    """

    batches_itself: ClassVar[bool] = True

    norm: Norm = "linf"
    eps: float = 8 / 255
    loss: Literal["ce", "dlr", "targeted"] = "ce"
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    averaged: int = 1
    order: Literal["likeliest", "nearest"] = field(default="likeliest", metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        check_counts(self, "steps", "restarts", "targets", "averaged")
        check_choices(self, "loss", "order")
        if self.order == "nearest" and self.loss != "targeted":
            raise UserError(
                f"order='nearest' is an order of target classes, which loss={self.loss!r} has none "
                f"of; use loss='targeted'."
            )

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Search until the model is fooled; per sample, return the first image that fools it.

        Where none does, the image of the highest loss in the last search is returned.

        Raises:
            UserError: if the loss is not defined for so few classes.
        """
        images = images.float()
        classes, least = class_count(model, images), {"ce": 2, "dlr": 3, "targeted": 4}[self.loss]
        if classes < least:
            raise UserError(
                f"the loss '{self.loss}' needs {least} classes, but the network has {classes}; "
                f"use loss='ce'."
            )
        return _Search(_Algorithm(self, model, images, labels, rngs), classes).run()


class _Algorithm:
    """The algorithm of the paper for the samples ``rows``; calls change only the generators."""

    def __init__(
        self,
        attack: APGD,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> None:
        self.attack, self.model = attack, model
        self.images, self.labels, self.rngs = images, labels, rngs
        self.into_ball = projection(images, attack.norm, attack.eps)

    def start(self, rows: Tensor) -> Tensor:
        """Return points drawn from the surfaces of the balls, in [0, 1]."""
        rngs, attack = [self.rngs[i] for i in rows], self.attack
        delta = on_sphere(rngs, self.images.shape[1:], attack.norm, attack.eps)
        return (self.images[rows] + delta.to(self.images.device)).clamp(0, 1)

    def climb(self, x: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gradients, losses (B,) and logits at x, means over the gradients asked for."""

        def loss(logits: Tensor) -> Tensor:
            labels = self.labels[rows].long()
            if self.attack.loss == "targeted":
                return targeted_dlr(logits, labels, targets)
            if self.attack.loss == "dlr":
                return dlr(logits, labels)
            # Rises exactly as the cross-entropy does, with the same direction; never saturates.
            return log_odds(logits, labels)

        found = [ascent_direction(self.model, x, loss) for _ in range(self.attack.averaged)]
        gradient, losses, logits = (torch.stack(part).mean(0) for part in zip(*found, strict=True))
        return gradient, losses, logits

    def step(
        self, x: Tensor, gradient: Tensor, now: StepState, previous: Tensor, rows: Tensor
    ) -> Tensor:
        """Return the points after a step from x, in [0, 1] and in the balls.

        Args:
            x: points (B, C, H, W).
            gradient: the directions to climb.
            now: the searches' progress, with the step sizes.
            previous: the iterates before x, for the momentum.
            rows: the samples.
        """
        at, image = contiguous(rows), partial(per_sample, like=x)
        ahead = x + image(now.step) * steepest(gradient, self.attack.norm)
        share = image(torch.where(now.taken > 1, MOMENTUM, 1.0))
        moved = share * (self.into_ball(ahead, at) - x) + (1 - share) * (x - previous)
        return self.into_ball(x + moved, at)

    def fooled(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return whether each float32 prediction at x is wrong, (B,) bool on the CPU."""
        return fooled(self.model, x, self.labels[rows]).cpu()


@dataclass(frozen=True, eq=False)
class _State:
    """State of each sample's search, besides its progress.

    Attributes:
        x: the iterates.
        previous: the iterates before them.
        best: the iterates of the highest losses.
        best_gradient: the gradients there.
        search: how many searches have ended without fooling the model, on the CPU like the rest.
        forwards: forwards made for the sample.
        backwards: gradients taken for the sample.
    """

    x: Tensor
    previous: Tensor
    best: Tensor
    best_gradient: Tensor
    search: Tensor
    forwards: Tensor
    backwards: Tensor


class _Search:
    """The bookkeeping: samples advance independently of the batch they are in.

    Args:
        algorithm: the algorithm.
        classes: the number of classes of the model.
    """

    def __init__(self, algorithm: _Algorithm, classes: int) -> None:
        self.algorithm, self.attack = algorithm, algorithm.attack
        images, count = algorithm.images, torch.zeros(len(algorithm.images), dtype=torch.int64)
        self.state = _State(*(images.clone() for _ in range(4)), *(count.clone() for _ in range(3)))
        self.progress = StepState.initial(len(images))
        self.control = StepControl(self.attack.steps, self.attack.eps)
        self.targets = torch.zeros(len(images), 1, dtype=torch.int64)
        self.others = classes - 1

    def run(self) -> Adversarial:
        """Search until every sample is finished."""
        state, model, every = self.state, self.algorithm.model, torch.arange(len(self.state.x))
        if self.attack.loss == "targeted":
            self._choose_targets()  # an interrupted search finds the same ones again
        run_batched(model, every, self.advance, KeptSearch(model, state, self.progress))
        return Adversarial(state.best, state.forwards, state.forwards, state.backwards)

    def _choose_targets(self) -> None:
        """Find the target classes, and count what that takes."""
        attack, model, images = self.attack, self.algorithm.model, self.algorithm.images
        labels, nearest = self.algorithm.labels, attack.order == "nearest"
        looked_at = min(max(CANDIDATES, attack.targets) if nearest else attack.targets, self.others)
        found = likeliest_others(model, images, labels, looked_at)
        self.state.forwards.fill_(1)
        if nearest:
            found = nearest_first(model, images, labels, found, attack.norm)
            self.state.forwards.fill_(2)
            self.state.backwards.fill_(looked_at)
        self.targets = found[:, : attack.targets]

    def advance(self, rows: Tensor) -> Tensor:
        """Take one step with each of the samples ``rows``; return which of them are finished."""
        self._start(rows)
        now, before = read_rows(self.state, rows), read_rows(self.progress, rows)
        targets = self.targets[rows, now.search % self.targets.shape[1]].to(now.x.device)
        gradient, losses, logits = self.algorithm.climb(now.x, rows, targets)
        progress, better, back = self.control.after(before, losses.cpu())
        best = choose(better, now.x, now.best)
        best_gradient = choose(better, gradient, now.best_gradient)
        x, slope = choose(back, best, now.x), choose(back, best_gradient, gradient)
        moved = self.algorithm.step(x, slope, progress, now.previous, rows)
        ended = before.taken == self.attack.steps
        won, asked = self._won(now.x, logits, best, ended, rows)
        searches = self.attack.restarts * self.targets.shape[1]
        again = ended & ~won & (now.search + 1 < searches)
        after = _State(
            x=moved,
            previous=x,
            best=choose(won & ~ended, now.x, best),
            best_gradient=best_gradient,
            search=now.search + again.long(),
            forwards=now.forwards + self.attack.averaged + asked.long(),
            backwards=now.backwards + self.attack.averaged,
        )
        # Nothing above changes the state, so that the step can be repeated if memory runs out.
        write_rows(self.state, rows, after)
        taken = torch.where(again, -1, progress.taken)
        write_rows(self.progress, rows, replace(progress, taken=taken))
        return won | (ended & ~again)

    def _start(self, rows: Tensor) -> None:
        """Draw the missing starts and store them: a generator yields each only once."""
        new = rows[self.progress.taken[rows] < 0]
        if len(new):
            self.state.x[new] = self.state.previous[new] = self.algorithm.start(new)
            self.control.restart(self.progress, new)

    def _won(
        self, x: Tensor, logits: Tensor, best: Tensor, ended: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return which samples fool the model, and of which an exact prediction was asked.

        The logits that come with a gradient only tell where it is worth asking; at the end of a
        search the best point is asked about in any case.
        """
        labels = self.algorithm.labels[rows]
        asked = ~right(logits, labels).cpu() | ended
        won = asked.clone()
        if asked.any():
            points = choose(ended, best, x)[asked.to(x.device)]
            won[asked] = self.algorithm.fooled(points, rows[asked])
        return won, asked
