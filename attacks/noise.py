"""Random noise: the baseline that every attack must beat."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, register_attack
from robench.attack_tools.randomness import in_ball, normal
from robench.attack_tools.threat_models import Norm, check_choices, check_radius, project


@register_attack("noise")
@dataclass(frozen=True)
class Noise(Attack):
    """Random noise that never calls the model: the baseline that an attack must beat.

    Attributes:
        norm: norm of the perturbation ball.
        eps: its radius, for images in [0, 1].
        kind: "uniform" in the ball; or "gaussian", projected onto it, with a standard deviation of
            eps per pixel ("linf") or an expected squared length of eps squared ("l2").

    Raises:
        UserError: if eps or kind is out of range.
    """

    norm: Norm = "linf"
    eps: float = 8 / 255
    kind: Literal["uniform", "gaussian"] = "uniform"

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)
        check_choices(self, "kind")

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Draw one perturbation per sample; the model is never called."""
        images = images.float()
        shape = images.shape[1:]
        if self.kind == "uniform":
            delta = in_ball(rngs, shape, self.norm, self.eps)
        else:
            std = self.eps if self.norm == "linf" else self.eps / math.sqrt(math.prod(shape))
            delta = project(std * normal(rngs, shape), self.norm, self.eps)
        none = torch.zeros(len(images), dtype=torch.int64)
        return Adversarial((images + delta.to(images.device)).clamp(0, 1), none, none)
