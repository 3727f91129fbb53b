"""The network under check, and what is known of it: nothing is attacked twice."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from robench.attack_tools.threat_models import Norm
from robench.base import Attack
from robench.evaluation import Outcomes, evaluate
from robench.evaluation.validation import check_classes, check_logits
from robench.expressions import Expression
from robench.models.frozen import frozen_stats, placed, under_attack
from robench.registry import attacks as registry


@dataclass(eq=False)
class CheckContext:
    """A network, the images that it is checked on, and the outcomes that are there.

    Attributes:
        model: images in [0, 1] -> logits.
        images: (n, C, H, W) float32 in [0, 1], on the CPU.
        labels: (n,) int64, on the CPU.
        norm: of the ball.
        eps: its radius.
        step_size: of the standard attack.
        seed: of random starts.
        batch_size: images in a forward.
        device: where to work.
        without: shortcuts that evaluations leave out.
        board: the board's columns and what they found, on these images and perhaps on more.
        own: the attacks that were added here, each on all n images.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    norm: Norm
    eps: float
    step_size: float
    seed: int
    batch_size: int
    device: torch.device
    without: Collection[str]
    board: Mapping[str, tuple[Attack, Outcomes]]
    own: list[tuple[Attack, Outcomes]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def attack(self, name: str, **options: object) -> Attack:
        """Return an attack in the ball of the board, unless ``options`` say otherwise."""
        ball = {"norm": self.norm, "eps": self.eps, "step_size": self.step_size}
        return registry.build(Expression(name, options), ball)

    def standard(self, **options: object) -> Attack:
        """Return the standard white-box attack: PGD-20 on the cross-entropy."""
        return self.attack("pgd", **{"steps": 20, **options})

    def run(self, *wanted: Attack) -> list[Outcomes]:
        """Return the outcomes of attacks; those that are not known are made now."""
        missing = [a for a in wanted if self._known(a) is None]
        if missing:
            found = self._evaluate(missing)
            self.own += zip(missing, found, strict=True)
        known = [self._known(attack) for attack in wanted]
        return [outcomes for outcomes in known if outcomes is not None]

    @property
    def white_box(self) -> list[Outcomes]:
        """What is known of attacks that take gradients and keep to the ball, on all n images."""
        pairs = [*self.board.values(), *self.own]
        return [
            o
            for a, o in pairs
            if self.in_ball(a) and o.backwards.any() and len(o) >= len(self)
        ]  # fmt: skip

    def in_ball(self, attack: Attack) -> bool:
        """Return whether an attack keeps to the ball of the board."""
        ball = attack.threat_model
        return ball is not None and ball[0] == self.norm and math.isclose(ball[1], self.eps)

    @cached_property
    def correct(self) -> Tensor:
        """The images that the network gets right, (n,) bool."""
        logits = self.logits(self.images)
        check_classes(logits, self.labels)
        return logits.isfinite().all(1) & (logits.argmax(1) == self.labels)

    @cached_property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return self.logits(self.images[:1]).shape[1]

    def logits(self, images: Tensor, batch_size: int | None = None) -> Tensor:
        """Return float32 logits on the CPU, by the network itself in eval mode."""
        size = batch_size or self.batch_size
        with self.opened(), torch.no_grad():
            parts = [
                check_logits(self.model(p.to(self.device)), len(p)) for p in images.split(size)
            ]
            return torch.cat(parts).float().cpu()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Have the network at its device, in eval mode, frozen; leave no trace in it."""
        with (
            torch.inference_mode(False),
            placed(self.model, self.device),
            frozen_stats(self.model),
            under_attack(self.model),
            torch.autocast(self.device.type, enabled=False),
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ),
        ):
            yield

    def _known(self, attack: Attack) -> Outcomes | None:
        for other, outcomes in [*self.board.values(), *self.own]:
            same = type(other) is type(attack) and replace(attack, samples=other.samples) == other
            if same and len(outcomes) >= len(self):
                return outcomes
        return None

    def _evaluate(self, attacks: Sequence[Attack]) -> list[Outcomes]:
        found = evaluate(
            self.model,
            self.images,
            self.labels,
            attacks,
            seed=self.seed,
            batch_size=self.batch_size,
            without=self.without,
            device=self.device,
        )
        return list(found.attacks.values())


def first(outcomes: Outcomes, count: int) -> Outcomes:
    """Return the outcomes of the first ``count`` samples."""
    return Outcomes(**{name: values[:count] for name, values in vars(outcomes).items()})


def fooled_inside(outcomes: Outcomes, norm: Norm, eps: float, count: int) -> np.ndarray:
    """Return where a sample was fooled inside the ball, (count,) bool; False beyond its samples."""
    sizes = outcomes.linf if norm == "linf" else outcomes.l2
    inside = outcomes.fooled & (sizes <= eps * (1 + 1e-5) + 1e-6)
    return np.pad(inside[:count], (0, max(0, count - len(inside))))
