"""Checks of an evaluation's images, labels and perturbations."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from robench.attack_tools.threat_models import Norm, check_ball, diameter, norms, power_of
from robench.base import Adversarial, Attack, ThreatModel
from robench.errors import UserError
from robench.expressions import radius_text
from robench.models.accept import check_logits as check_logits

TOLERANCE = 1e-6

_WIDER_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)

Pixels = Tensor | NDArray[Any]
"""Images (N, C, H, W), float in [0, 1] or uint8."""
Classes = Tensor | NDArray[Any] | Sequence[int]
"""Labels (N,), integers."""


def as_samples(images: Pixels, labels: Classes) -> tuple[Tensor, Tensor]:
    """Return images and labels as tensors, the images float32 in [0, 1], both without gradient.

    Raises:
        UserError: if one is of another type; see also :func:`check_images`.
    """
    pixels, classes = as_tensors(images, labels)
    return as_floats(pixels), classes


def as_floats(pixels: Tensor) -> Tensor:
    """Return images of :func:`as_tensors` as float32 in [0, 1]; on the CPU, like all others."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def as_tensors(images: Pixels, labels: Classes) -> tuple[Tensor, Tensor]:
    """Return images and labels as tensors without gradient; the images uint8, or else float32.

    All images of a large data set, four times as large as float32, may not fit in memory.

    Raises:
        UserError: if one is of another type; see also :func:`check_images`.
    """
    if not isinstance(images, (Tensor, np.ndarray)):
        raise UserError(
            f"images are a {type(images).__name__}; give a tensor or numpy array (N, C, H, W)."
        )
    pixels = _tensor(images, "images").detach()
    pixels = pixels if pixels.dtype == torch.uint8 else pixels.float()
    classes = _tensor(labels, "labels").detach()
    check_images(pixels, classes)
    return pixels if pixels.dtype == torch.uint8 else _within_range(pixels), classes


def _tensor(values: Any, what: str) -> Tensor:
    """Return values as a tensor; unsigned integers that torch has few operations for as int64."""
    if isinstance(values, Tensor):
        return values.long() if values.dtype in _WIDER_UNSIGNED else values
    try:
        array = np.asarray(values)
        if array.dtype.kind == "u" and array.dtype != np.uint8:
            array = array.astype(np.int64)
        usable = array.flags.writeable and array.flags.c_contiguous and array.dtype.isnative
        return torch.from_numpy(array if usable else array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} cannot be read as an array of numbers ({error}).") from None


def check_images(images: Tensor, labels: Tensor) -> None:
    """Check the images and labels to evaluate.

    Raises:
        UserError: if images are not (N, C, H, W), none are given, or labels are not one integer
            >= 0 per image.
    """
    if images.ndim != 4:
        raise UserError(f"images have shape {tuple(images.shape)}; give (N, C, H, W).")
    if not images.numel():
        raise UserError(f"there are no images to evaluate: their shape is {tuple(images.shape)}.")
    if labels.ndim != 1 or len(labels) != len(images):
        raise UserError(
            f"labels have shape {tuple(labels.shape)} for {len(images)} images; give one per image."
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise UserError(f"labels are {labels.dtype}; give integers, the true classes.")
    if labels.min() < 0:
        raise UserError(f"a label is {labels.min().item()}; classes are counted from 0.")


def _within_range(images: Tensor) -> Tensor:
    """Return images in [0, 1]; those one rounding beyond are clamped.

    Raises:
        UserError: if they are farther outside, or not finite.
    """
    if not images.isfinite().all():
        bad = (~images.isfinite()).flatten(1).any(1).nonzero()[0].item()
        raise UserError(f"image {bad} has NaN or infinite pixels; fix or remove it.")
    low, high = images.min().item(), images.max().item()
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise UserError(
            f"images lie in [{low:g}, {high:g}] but must lie in [0, 1]: {_to_unit(low, high)}."
        )
    return images.clamp(0, 1) if low < 0 or high > 1 else images


def _to_unit(low: float, high: float) -> str:
    """Return what likely brings images of a range into [0, 1], as the end of a sentence."""
    if low >= 0 and 2 < high <= 255:
        return "divide by 255, and leave mean and std to the model"
    if low >= -0.5 and high <= 1.5:
        return "if resizing overshot, clamp them with images.clamp(0, 1)"
    if low >= -1 and high <= 1:
        return "map them by (images + 1) / 2, and leave mean and std to the model"
    return "give them as they were before mean and std, which are left to the model"


def check_classes(num_classes: int, labels: Tensor) -> None:
    """Check that a model has a class for every label.

    Raises:
        UserError: if it has too few classes.
    """
    if num_classes == 1:
        raise UserError(
            "the model has one logit per image, which is always the largest: if it is that of a "
            "sigmoid, z, give the two of a softmax, torch.cat([torch.zeros_like(z), z], 1)."
        )
    largest = int(labels.max())  # in the dtype of labels, a number of classes may wrap around
    if num_classes <= largest:
        raise UserError(
            f"the model has {num_classes} classes but a label is {largest}; "
            f"use a model with the number of classes of these images."
        )


def check_radii(balls: Mapping[str, ThreatModel | None], images: Tensor) -> None:
    """Check that no attack has a ball in which any image can become any other.

    Args:
        balls: the threat model of each attack, by the attack's name.
        images: (N, C, H, W) in [0, 1].

    Raises:
        UserError: for the first radius that is not a size of a change of these images.
    """
    shape = tuple(images.shape[1:])
    for name, ball in balls.items():
        if ball is None:
            continue
        check_ball(f"attack '{name}'", ball)
        widest = diameter(ball.norm, math.prod(shape))
        if ball.eps > widest:
            raise UserError(
                f"attack '{name}': eps is {ball.eps:g}, but two images of shape {shape} in [0, 1] "
                f"are at most {widest:.4g} apart in {ball.norm}: write '{ball.eps:g}/255'?"
            )


def attack_results(attacks: Sequence[Attack], images: Tensor, found: Any) -> list[Adversarial]:
    """Return what attacks returned, checked: one result per attack, without gradients.

    Args:
        attacks: the attacks that were run together.
        images: (B, C, H, W), what they were given.
        found: what they returned.

    Raises:
        UserError: if it is not one :class:`robench.Adversarial` per attack, or one breaks the
            rules (:func:`check_perturbation`); names the attack and what it returned.
    """
    name = type(attacks[0]).__name__
    if not isinstance(found, (list, tuple)) or len(found) != len(attacks):
        shown = f"{len(found)} results" if isinstance(found, (list, tuple)) else _kind(found)
        raise UserError(
            f"the attack {name} returned {shown} for {len(attacks)} attacks; its perturb_together "
            f"must return a list of one Adversarial each."
        )
    results = []
    for attack, result in zip(attacks, found, strict=True):
        if not isinstance(result, Adversarial):
            raise UserError(
                f"the attack {type(attack).__name__} returned {_kind(result)}; its perturb must "
                f"return Adversarial(images)."
            )
        check_perturbation(attack, images, result.images)
        detached = result.images.detach().to(device=images.device, dtype=images.dtype)
        results.append(replace(result, images=detached, **_counts(attack, result, len(images))))
    return results


def check_perturbation(attack: Attack, clean: Tensor, images: Any) -> None:
    """Check that an attack kept to [0, 1] and to its ball.

    Args:
        attack: the attack.
        clean: (B, C, H, W), the images that it was given.
        images: the images that it returned.

    Raises:
        UserError: if it did not; names the attack and what it did.
    """
    what = f"the attack {type(attack).__name__}"
    if not isinstance(images, Tensor):
        raise UserError(f"{what} returned {_kind(images)} as images; it must return a tensor.")
    if images.shape != clean.shape:
        raise UserError(
            f"{what} returned images of shape {tuple(images.shape)} for {tuple(clean.shape)}."
        )
    images = images.detach().to(clean.device)
    if not images.is_floating_point():
        raise UserError(f"{what} returned images of {images.dtype}; they must be float in [0, 1].")
    if not images.isfinite().all():
        raise UserError(f"{what} returned images that are not finite.")
    low, high = images.min().item(), images.max().item()
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise UserError(f"{what} left [0, 1]: its images lie in [{low:.6g}, {high:.6g}].")
    if attack.threat_model is None:
        return
    norm, eps = attack.threat_model
    largest = size_in(norm, images - clean).max().item()
    if largest > eps + TOLERANCE * max(1, eps):
        raise UserError(
            f"{what} left its {norm} ball of radius {radius_text(eps)}: it moved an image by "
            f"{largest:.6g}."
        )


def _counts(attack: Attack, result: Adversarial, count: int) -> dict[str, Tensor]:
    """Return the costs that an attack reports, without gradients and on the CPU."""
    counts = {}
    for name in ("queries", "forwards", "backwards"):
        values = getattr(result, name)
        if values is None:
            continue
        if not isinstance(values, Tensor) or values.shape != (count,):
            shown = tuple(values.shape) if isinstance(values, Tensor) else _kind(values)
            raise UserError(
                f"the attack {type(attack).__name__} returned {shown} as {name}; give one integer "
                f"for each of the {count} images, or None."
            )
        counts[name] = values.detach().cpu()
    return counts


def _kind(value: object) -> str:
    return "nothing" if value is None else f"an object of type {type(value).__name__}"


def size_in(norm: str, delta: Tensor) -> Tensor:
    """Return the size of each change (B, C, H, W), (B,), in the norm of a threat model.

    Args:
        norm: "linf", "l2" or another Lp norm such as "l1"; "l0" counts the values that change.
        delta: the changes.

    Raises:
        UserError: for the name of no norm.
    """
    if norm in ("linf", "l2"):
        return norms(delta, cast(Norm, norm))
    p = power_of(norm)
    flat = delta.flatten(1)
    if p == 0:
        return flat.count_nonzero(1).to(delta.dtype)
    return vector_norm(flat.cpu(), p, dim=1, dtype=torch.float64)


def sizes(clean: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Linf and L2 norms of each perturbation, (B,) and (B,)."""
    return norms(images - clean, "linf"), norms(images - clean, "l2")
