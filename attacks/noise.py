"""Random noise: the floor under every attack."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from robench.attack_tools.randomness import in_ball, normal
from robench.attack_tools.threat_models import Norm, check_radius, project
from robench.base import Adversarial, Attack, LogitsModel
from robench.registry import register_attack


@register_attack("noise")
@dataclass(frozen=True)
class Noise(Attack):
    """Random noise, blind to the model: what an attack must beat to be one.

    Attributes:
        norm: the ball's norm.
        eps: its radius, for images in [0, 1].
        kind: "uniform" in the ball; or "gaussian", projected on it, of standard deviation eps a
            pixel ("linf") or of expected squared length eps squared ("l2").

    Raises:
        ValueError: for an eps out of range.
    """

    norm: Norm = "linf"
    eps: float = 8 / 255
    kind: Literal["uniform", "gaussian"] = "uniform"

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Draw one perturbation a sample; the model is never asked."""
        images = images.float()
        shape = images.shape[1:]
        if self.kind == "uniform":
            delta = in_ball(rngs, shape, self.norm, self.eps)
        else:
            std = self.eps if self.norm == "linf" else self.eps / math.sqrt(math.prod(shape))
            delta = project(std * normal(rngs, shape), self.norm, self.eps)
        none = torch.zeros(len(images), dtype=torch.int64)
        return Adversarial((images + delta.to(images.device)).clamp(0, 1), none, none)
