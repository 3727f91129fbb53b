"""Free adversarial training (Shafahi et al. 2019, "Adversarial training for free!")."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench import LogitsModel, TrainingMethod, register_training_method
from robench.attack_tools.losses import NO_GRADIENT
from robench.attack_tools.threat_models import check_radius
from robench.base import Update
from robench.errors import UserError


@register_training_method("free", reference="arXiv:1904.12843")
@dataclass(frozen=True)
class FreeAdversarialTraining(TrainingMethod):
    """Replay each minibatch; one backward pass serves the weights and the perturbation.

    The first replay sees the clean images unless ``carry_delta``: with one replay alone, this is
    then standard training.

    Attributes:
        replays: number of replays of each minibatch, the paper's "m".
        eps: radius of the Linf ball, for images in [0, 1].
        step_size: step of the perturbation, in the same units.
        carry_delta: start each minibatch from the perturbation of the last one (the paper's warm
            start), not from zeros.

    Raises:
        ValueError: for an option out of range.
    """

    replays: int = 4
    eps: float = 8 / 255
    step_size: float = 8 / 255
    carry_delta: bool = False

    def __post_init__(self) -> None:
        if self.replays < 1:
            raise ValueError(f"replays is {self.replays}: it must be 1 or more.")
        check_radius("eps", self.eps, "linf")
        check_radius("step_size", self.step_size, "linf")

    @property
    def steps_per_minibatch(self) -> int:
        """One optimizer step per replay."""
        return self.replays

    def train_minibatch(
        self,
        images: Tensor,
        labels: Tensor,
        update: Update,
        *,
        logits: LogitsModel,
        carried: Tensor | None,
    ) -> Tensor | None:
        """Replay the minibatch; return the perturbation for the next one if it is to be carried."""
        delta = free_replays(
            update,
            images,
            labels,
            starting_delta(carried, images),
            replays=self.replays,
            eps=self.eps,
            step_size=self.step_size,
        )
        return delta if self.carry_delta else None


def free_replays(
    update: Callable[[Tensor, Tensor], None],
    images: Tensor,
    labels: Tensor,
    delta: Tensor,
    *,
    replays: int,
    eps: float,
    step_size: float,
) -> Tensor:
    """Replay a minibatch: each backward pass serves the weights and the perturbation.

    Algorithm 1 of the paper; the network sees ``clamp(images + delta, 0, 1)``, and the gradient
    is taken at what it sees, so that a pixel clamped at 0 or 1 can still move back.

    Args:
        update: called with images and labels; leaves the gradient of the loss in ``images.grad``.
        images: (B, C, H, W) in [0, 1].
        labels: (B,).
        delta: (B, C, H, W) in [-eps, eps], the initial perturbation: zeros, or that of the last
            minibatch (the paper's warm start).
        replays: number of replays of the minibatch, "m".
        eps: radius of the Linf ball, in units of images in [0, 1].
        step_size: step of the perturbation, in the same units.

    Returns:
        The perturbation after the last replay, (B, C, H, W) in [-eps, eps].

    Raises:
        UserError: if the images have no gradient.
    """
    for _ in range(replays):
        seen = (images + delta).clamp(0, 1).requires_grad_()
        update(seen, labels)
        if seen.grad is None:
            raise UserError(f"{NO_GRADIENT}.")
        delta = (delta + step_size * seen.grad.sign()).clamp(-eps, eps)
    return delta


def starting_delta(carried: Tensor | None, images: Tensor) -> Tensor:
    """Return the perturbation that the last minibatch carried over, or zeros without one."""
    return torch.zeros_like(images) if carried is None else carried
