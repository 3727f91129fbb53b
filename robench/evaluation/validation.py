"""Checks of an evaluation's images, labels and perturbations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robench.attack_tools.threat_models import norms
from robench.base import Attack
from robench.errors import UserError
from robench.models.accept import check_logits as check_logits

TOLERANCE = 1e-6

Pixels = Tensor | NDArray[Any]
"""Images (N, C, H, W), float in [0, 1] or uint8."""
Classes = Tensor | NDArray[Any] | Sequence[int]
"""Labels (N,), integers."""


def as_samples(images: Pixels, labels: Classes) -> tuple[Tensor, Tensor]:
    """Return images and labels as tensors, the images float32 in [0, 1], both without gradient.

    Raises:
        UserError: if one is of another type; see also :func:`check_images`.
    """
    if not isinstance(images, (Tensor, np.ndarray)):
        raise UserError(
            f"images are a {type(images).__name__}; give a tensor or numpy array (N, C, H, W)."
        )
    pixels = _tensor(images, "images").detach()
    pixels = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
    classes = _tensor(labels, "labels").detach()
    check_images(pixels, classes)
    return pixels, classes


def _tensor(values: Any, what: str) -> Tensor:
    if isinstance(values, Tensor):
        return values
    try:
        array = np.asarray(values)
        if array.dtype.kind == "u" and array.dtype != np.uint8:
            array = array.astype(np.int64)  # torch has few operations for other unsigned integers
        usable = array.flags.writeable and array.flags.c_contiguous and array.dtype.isnative
        return torch.from_numpy(array if usable else array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} cannot be read as an array of numbers ({error}).") from None


def check_images(images: Tensor, labels: Tensor) -> None:
    """Check the images and labels to evaluate.

    Raises:
        UserError: if images are not (N, C, H, W), none are given, they are outside [0, 1] or not
            finite, or labels are not one integer >= 0 per image.
    """
    if images.ndim != 4:
        raise UserError(f"images have shape {tuple(images.shape)}; give (N, C, H, W).")
    if not len(images):
        raise UserError("there are no images to evaluate; give at least one.")
    if not images.isfinite().all():
        bad = (~images.isfinite()).flatten(1).any(1).nonzero()[0].item()
        raise UserError(f"image {bad} has NaN or infinite pixels; fix or remove it.")
    low, high = images.min().item(), images.max().item()
    if low < 0 or high > 1:
        raise UserError(
            f"images lie in [{low:g}, {high:g}] but must lie in [0, 1]: divide by 255, and leave "
            f"mean and std to the model."
        )
    if labels.ndim != 1 or len(labels) != len(images):
        raise UserError(
            f"labels have shape {tuple(labels.shape)} for {len(images)} images; give one per image."
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise UserError(f"labels are {labels.dtype}; give integers, the true classes.")
    if labels.min() < 0:
        raise UserError(f"a label is {labels.min().item()}; classes are counted from 0.")


def check_classes(logits: Tensor, labels: Tensor) -> None:
    """Check that a model has a class for every label.

    Raises:
        UserError: if it has too few classes.
    """
    if logits.shape[1] <= labels.max():
        raise UserError(
            f"the model has {logits.shape[1]} classes but a label is {labels.max().item()}; "
            f"use a model with the number of classes of these images."
        )


def check_perturbation(attack: Attack, clean: Tensor, images: Tensor) -> None:
    """Check that an attack kept to [0, 1] and to its ball.

    Raises:
        RuntimeError: if it did not; names the attack, since the bug is not the user's.
    """
    name = type(attack).__name__
    if images.shape != clean.shape:
        raise RuntimeError(f"{name} returned {tuple(images.shape)} for {tuple(clean.shape)}")
    if not images.isfinite().all():
        raise RuntimeError(f"{name} returned images that are not finite")
    if images.min() < -TOLERANCE or images.max() > 1 + TOLERANCE:
        raise RuntimeError(f"{name} left [0, 1]: [{images.min().item()}, {images.max().item()}]")
    if attack.threat_model is None:
        return
    (norm, eps), (linf, l2) = attack.threat_model, sizes(clean, images)
    largest = {"linf": linf, "l2": l2}.get(norm, torch.zeros(1)).max().item()
    if largest > eps + TOLERANCE * max(1, eps):
        raise RuntimeError(f"{name} left its {norm} ball of radius {eps}: {largest}")


def sizes(clean: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Linf and L2 norms of each perturbation, (B,) and (B,)."""
    return norms(images - clean, "linf"), norms(images - clean, "l2")
