"""Free adversarial training (Shafahi et al. 2019, "Adversarial training for free!")."""

from collections.abc import Callable

import torch
from torch import Tensor

from robench.system.processes import Shard

Update = Callable[[Tensor, Tensor], None]
"""Images and labels -> one backward pass and one step of the weights."""


def free_replays(
    update: Update,
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
    is taken at what it sees, so that a pixel clamped at 0 or 1 can still come back.

    Args:
        update: leaves the gradient of the loss in the images it is given.
        images: (B, C, H, W) in [0, 1].
        labels: (B,).
        delta: (B, C, H, W) in [-eps, eps], where the perturbation starts: zeros, or what the
            last minibatch left (the paper's warm start).
        replays: how often the minibatch is shown, "m".
        eps: radius of the Linf ball, in units of images in [0, 1].
        step_size: step of the perturbation, same units.

    Returns:
        The perturbation after the last replay, (B, C, H, W) in [-eps, eps].
    """
    for _ in range(replays):
        seen = (images + delta).clamp(0, 1).requires_grad_()
        update(seen, labels)
        assert seen.grad is not None
        delta = (delta + step_size * seen.grad.sign()).clamp(-eps, eps)
    return delta


def starting_delta(carried: Tensor | None, images: Tensor, whole: int, shard: Shard) -> Tensor:
    """Return zeros, or this process's part of what the last minibatch left.

    Args:
        carried: the perturbation of the last whole minibatch, of all processes.
        images: those of this process.
        whole: images of the minibatch in all processes; a short last one takes the first of them.
        shard: which process this is.
    """
    if carried is None:
        return torch.zeros_like(images)
    return shard.of(carried[:whole])
