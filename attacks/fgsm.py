"""The fast gradient sign method (Goodfellow, Shlens, Szegedy 2015)."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from robench import Adversarial, Attack, LogitsModel, register_attack
from robench.attack_tools.batching import run_batched
from robench.attack_tools.losses import input_gradient
from robench.attack_tools.threat_models import Norm, check_radius, project, steepest


@register_attack("fgsm", reference="arXiv:1412.6572")
@dataclass(frozen=True)
class FGSM(Attack):
    """Fast gradient sign method: one step of length eps from the clean image.

    Attributes:
        norm: norm of the perturbation ball; with "l2" the step is along the normalized gradient.
        eps: its radius, for images in [0, 1].

    Raises:
        UserError: if eps is out of range.
    """

    batches_itself: ClassVar[bool] = True
    moves_every_image: ClassVar[bool] = True

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
        """Take one step up the cross-entropy: one forward per sample, no random numbers."""
        return self.perturb_together([self], model, images, labels, rngs)[0]

    def shared_work(self) -> Hashable:
        """Return the norm: attacks of every radius share the gradient at the clean image."""
        return self.norm

    @classmethod
    def perturb_together(
        cls,
        attacks: Sequence[Self],
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[Generator],
    ) -> list[Adversarial]:
        """Take one gradient per sample and, for each attack, one step of its own length."""
        images, norm = images.float(), attacks[0].norm
        direction = torch.empty_like(images)

        def advance(rows: Tensor) -> Tensor:
            gradient, _ = input_gradient(model, images[rows], labels[rows], "ce")
            direction[rows] = steepest(gradient, norm)
            return torch.ones(len(rows), dtype=torch.bool)

        run_batched(model, torch.arange(len(images)), advance)
        one = torch.ones(len(images), dtype=torch.int64)
        return [
            Adversarial((images + project(a.eps * direction, norm, a.eps)).clamp(0, 1), *[one] * 3)
            for a in attacks
        ]
