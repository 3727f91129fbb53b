"""The network under check and the attacks on it that are known: no attack is run twice."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from robench.attack_tools.threat_models import Norm, default_step_size
from robench.base import Attack, ThreatModel
from robench.checks.options import CheckOptions
from robench.checks.report import Curve
from robench.errors import RobenchWarning, UserError
from robench.evaluation import Outcomes, evaluate
from robench.evaluation.evaluate import LEFT_OUT
from robench.evaluation.notices import without_notices
from robench.evaluation.outcomes import Bools
from robench.evaluation.validation import check_classes, check_logits
from robench.expressions import Expression
from robench.models.frozen import frozen_stats, placed, under_attack
from robench.progress import ignore_progress
from robench.registry import attacks as registry
from robench.system.devices import device_of
from robench.system.exact_float32 import exact_float32
from robench.system.random_state import seed_torch

Shared = TypeVar("Shared")

Columns = Mapping[str, tuple[Attack, Outcomes]]
"""Attacks that were evaluated, by column name, with their outcomes."""


@dataclass(eq=False)
class CheckContext:
    """A network, the images that it is checked on, and the known attacks on it.

    Attributes:
        model: images in [0, 1] -> logits.
        images: (n, C, H, W) float32 in [0, 1], on the CPU.
        labels: (n,) int64, on the CPU.
        threat_model: the norm ("linf" or "l2") and radius for which robustness is claimed.
        options: seed, batch size, device and so on.
        columns: attacks that were evaluated before, on these images and possibly on more.
        source: another trained network, for transfer attacks; None if no other network was given.
        own: the attacks that the checks added, each on all n images.
        curve: accuracy as a function of the radius, stored by the eps sweep for the report.
        memo: what :meth:`once` has computed, by its function.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    threat_model: ThreatModel
    options: CheckOptions = field(default_factory=CheckOptions)
    columns: Columns = field(default_factory=dict)
    source: nn.Module | None = None
    own: list[tuple[Attack, Outcomes]] = field(default_factory=list)
    curve: Curve = ()
    memo: dict[object, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def norm(self) -> Norm:
        """The norm of the threat model."""
        return cast(Norm, self.threat_model.norm)

    @property
    def eps(self) -> float:
        """The radius of the threat model."""
        return self.threat_model.eps

    @property
    def step_size(self) -> float:
        """The step size of the standard attack."""
        step = self.options.step_size
        return default_step_size(self.eps) if step is None else step

    @cached_property
    def device(self) -> torch.device:
        """The device that the checks run on."""
        device = self.options.device
        return device_of(self.model) if device is None else torch.device(device)

    def attack(self, name: str, **options: object) -> Attack:
        """Return an attack in the threat model, unless ``options`` override it."""
        ball = {"norm": self.norm, "eps": self.eps, "step_size": self.step_size}
        return registry.build(Expression(name, options), ball)

    def standard(self, **options: object) -> Attack:
        """Return the standard white-box attack: PGD-20 on the cross-entropy."""
        return self.attack("pgd", **{"steps": 20, **options})

    def run(self, *wanted: Attack) -> list[Outcomes]:
        """Return the outcomes of attacks; those that are not yet known are evaluated now."""
        missing = [a for a in wanted if self._known(a) is None]
        if missing:
            found = self._evaluate(missing)
            self.own += zip(missing, found, strict=True)
        known = [self._known(attack) for attack in wanted]
        return [outcomes for outcomes in known if outcomes is not None]

    def once(self, compute: Callable[["CheckContext"], Shared]) -> Shared:
        """Return ``compute(self)``; several checks that need it compute it once."""
        if compute not in self.memo:
            self.memo[compute] = compute(self)
        return cast(Shared, self.memo[compute])

    @property
    def white_box(self) -> list[Outcomes]:
        """The outcomes of gradient-based attacks that keep to the ball, on all n images."""
        pairs = [*self.columns.values(), *self.own]
        return [
            o
            for a, o in pairs
            if self.in_ball(a) and o.backwards.any() and len(o) >= len(self)
        ]  # fmt: skip

    def in_ball(self, attack: Attack) -> bool:
        """Return whether an attack keeps to the ball of the threat model."""
        ball = attack.threat_model
        return ball is not None and ball[0] == self.norm and math.isclose(ball[1], self.eps)

    def fooled_inside(self, outcomes: Outcomes) -> Bools:
        """Return which images were fooled inside the ball, (n,) bool; False if not attacked."""
        sizes = outcomes.linf if self.norm == "linf" else outcomes.l2
        inside = outcomes.fooled & (sizes <= self.eps * (1 + 1e-5) + 1e-6)
        return np.pad(inside[: len(self)], (0, max(0, len(self) - len(inside))))

    @property
    def survivors(self) -> Bools:
        """Which images no known attack fooled inside the ball, (n,) bool.

        It is the worst case over columns and checks, with and without gradients. Images that the
        network gets wrong without an attack count as surviving an attack that was not made on them.
        """
        left = np.ones(len(self), dtype=np.bool_)
        for attack, outcomes in [*self.columns.values(), *self.own]:
            left &= ~self.fooled_inside(outcomes)
            if self.in_ball(attack) and len(outcomes) >= len(self):
                left &= outcomes.robust[: len(self)]
        return left

    def best_effort(self, robust: Bools) -> float:
        """Return the accuracy that is left by everything tried so far and a check's own search.

        A check that searches harder than the standard attack gives it to its finding::

            Finding(name, passed, sentence, best_effort=context.best_effort(robust))

        Call it at the end of :meth:`robench.checks.Check.run`, after the check's own attacks. What
        the check ran with :meth:`run` counts already: it may pass only what it searched otherwise
        (with averaged gradients, through a substitute of a layer and the like). An image counts as
        right if the unchanged network is right on it without an attack, the search left it, and no
        known attack fooled it inside the ball. The standard attack is made if it is not known, so
        the figure is never above the accuracy under it.

        Args:
            robust: (n,) bool, False for the images on which the check's search found an image
                inside the ball and [0, 1] that the unchanged network gets wrong; True for all
                others, also for those that it did not attack.

        Returns:
            A multiple of 1/n.

        Raises:
            UserError: if there is not one value for each of the n images.
        """
        if len(robust) != len(self):
            raise UserError(f"a search of {len(robust)} images was given; it needs {len(self)}.")
        with suppress(UserError):  # a network without gradients has no standard attack
            self.run(self.standard())
        right = self.correct.numpy() & np.asarray(robust, dtype=np.bool_) & self.survivors
        return float(right.mean())

    @cached_property
    def correct(self) -> Tensor:
        """Whether the network is right on each clean image, (n,) bool."""
        logits = self.logits(self.images)
        check_classes(logits.shape[1], self.labels)
        return logits.isfinite().all(1) & (logits.argmax(1) == self.labels)

    @cached_property
    def classes(self) -> int:
        """The number of classes that the network distinguishes."""
        return self.logits(self.images[:1]).shape[1]

    def logits(self, images: Tensor, batch_size: int | None = None) -> Tensor:
        """Return float32 logits on the CPU, from the network itself in eval mode."""
        return self.answers([images], batch_size)[0]

    def ask(self, images: Tensor) -> Tensor:
        """Return the network's own output for a copy of images, which it may write into.

        Call it inside :meth:`opened`, instead of the model: a forward that normalizes in place
        would change the points of a search, and raises at a leaf whose gradient is wanted.
        """
        return cast(Tensor, self.model(images.clone()))

    def answers(
        self, asked: Sequence[Tensor], batch_size: int | None = None, seed: int | None = None
    ) -> list[Tensor]:
        """Return the logits of sets of images that are asked for one after another.

        What the network keeps of one set is there for the next, and is gone on exit.

        Args:
            asked: sets of images.
            batch_size: images per forward; that of the options by default.
            seed: torch's seed before each set; by default it is not set.
        """
        size = batch_size or self.options.batch_size
        found = []
        with self.opened(), torch.no_grad():
            for images in asked:
                if seed is not None:
                    seed_torch(self.device, seed)
                parts = [
                    # Some networks write every answer into the same memory.
                    check_logits(self.model(p.to(self.device, copy=True)), len(p)).clone()
                    for p in images.split(size)
                ]
                found.append(torch.cat(parts).float().cpu())
        return found

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Put the model on its device, in eval mode, parameters frozen; restore it on exit."""
        with (
            torch.inference_mode(False),
            placed(self.model, self.device),
            frozen_stats(self.model),
            under_attack(self.model),
            torch.autocast(self.device.type, enabled=False),
            exact_float32(),
        ):
            yield

    def batches(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """Split tensors of equal length into batches, on the device."""
        parts = zip(*(t.split(self.options.batch_size) for t in tensors), strict=True)
        return [tuple(p.to(self.device) for p in part) for part in parts]

    def _known(self, attack: Attack) -> Outcomes | None:
        for other, outcomes in [*self.columns.values(), *self.own]:
            same = type(other) is type(attack) and replace(attack, samples=other.samples) == other
            if same and len(outcomes) >= len(self):
                return outcomes
        return None

    def _evaluate(self, attacks: Sequence[Attack]) -> list[Outcomes]:
        options = replace(self.options, progress=ignore_progress)
        # What an evaluation warns of was said with the network's columns, or the checks find it.
        with without_notices(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", f"(.*: )?{LEFT_OUT}", RobenchWarning)
            found = evaluate(self.model, self.images, self.labels, attacks, options=options)
        return list(found.attacks.values())


def first(outcomes: Outcomes, count: int) -> Outcomes:
    """Return the outcomes of the first ``count`` samples."""
    return Outcomes(**{name: values[:count] for name, values in vars(outcomes).items()})
