"""The fast gradient sign method (Goodfellow, Shlens, Szegedy 2015)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from robench.contracts import Adversarial, Attack, LogitsModel
from robench.geometry import Norm, check_radius, project, steepest
from robench.losses import input_gradient
from robench.registry import register_attack


@register_attack("fgsm", reference="arXiv:1412.6572")
@dataclass(frozen=True)
class FGSM(Attack):
    """Fast gradient sign method: one step of length eps from the clean image.

    Attributes:
        norm: the ball's norm; with "l2" the step is along the normalised gradient.
        eps: its radius, for images in [0, 1].

    Raises:
        ValueError: for an eps out of range.
    """

    norm: Norm = "linf"
    eps: float = 8 / 255

    def __post_init__(self) -> None:
        check_radius("eps", self.eps, self.norm)

    def perturb(
        self,
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> Adversarial:
        """Climb the cross-entropy by one step; costs one forward a sample. No random numbers."""
        images = images.float()
        direction = steepest(input_gradient(model, images, labels, "ce"), self.norm)
        delta = project(self.eps * direction, self.norm, self.eps)
        one = torch.ones(len(images), dtype=torch.int64)
        return Adversarial((images + delta).clamp(0, 1), queries=one, forwards=one)
