"""What a user should know about a model before its figures are believed."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.evaluation.validation import Classes, Pixels, as_samples
from robench.models.accept import plain_module
from robench.models.frozen import frozen_stats, placed, under_attack
from robench.system.devices import device_of

FEW = 16
"""Number of images whose gradients are looked at."""

VANISHING = 1e-30
"""Largest gradient below which float32 rounds its parts to zero."""

NEAR_CHANCE = 0.2
"""Share of the way from chance to perfect below which accuracy is near chance: Cohen's kappa, of
which values up to 0.2 are called slight agreement."""


def gradient_notice(
    model: nn.Module, images: Pixels, labels: Classes, device: torch.device | str | None = None
) -> str | None:
    """Return a sentence if attacks cannot follow a model's gradients on clean images, or None.

    Args:
        model: images in [0, 1] -> logits; it is restored on exit.
        images: (N, C, H, W), of which the first few are used.
        labels: (N,).
        device: the device to run on; None: the model's own.
    """
    pixels, classes = as_samples(images[:FEW], labels[:FEW])
    model = plain_module(model)
    home = device_of(model) if device is None else torch.device(device)
    forked = [home] if home.type == "cuda" else []
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.random.fork_rng(devices=forked),
        placed(model, home),
        frozen_stats(model),
        under_attack(model),
        torch.autocast(home.type, enabled=False),
    ):
        try:
            gradient = _gradient(model, pixels.clone().to(home), classes.clone().long().to(home))
        except Exception:  # the evaluation reports what a model raises
            return None
    return _sentence(gradient)


def _gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor | None:
    """Return the gradient of the loss, (B, C, H, W) on the CPU; None if the model has none."""
    images.requires_grad_()
    loss = F.cross_entropy(model(images.clone()).float(), labels, reduction="sum")
    if not loss.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(loss, images, allow_unused=True)
    return None if gradient is None else gradient.cpu()


def _sentence(gradient: Tensor | None) -> str | None:
    if gradient is None:
        return (
            "the model's logits have no gradient with respect to the images, so gradient attacks "
            "find nothing and its accuracy under them says nothing; use attacks without "
            "gradients, such as square."
        )
    count = len(gradient)
    largest = gradient.flatten(1).abs().amax(1)
    if odd := int((~gradient.isfinite()).flatten(1).any(1).sum()):
        return (
            f"the model's gradient is NaN or infinite on {odd} of {count} clean images, so "
            f"gradient attacks fail on them and its accuracy under them is no sign of robustness."
        )
    if not (largest > VANISHING).any():
        return (
            f"the model's gradient is zero on all of {count} clean images, so gradient attacks "
            f"find nothing and its accuracy under them is no sign of robustness; use attacks "
            f"without gradients, such as square."
        )
    return None


def is_near_chance(accuracy: float, classes: int) -> bool:
    """Return whether an accuracy on class-balanced images is hardly better than guessing."""
    chance = 1 / max(classes, 1)
    return accuracy < chance + NEAR_CHANCE * (1 - chance)
