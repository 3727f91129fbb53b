"""Parts of a data set: validation split, subset, label noise, evaluation sample."""

from typing import Literal

import torch
from torch import Tensor

from robench.data.images import Images
from robench.errors import UserError

LabelNoise = Literal["other", "uniform"]
"""Where a noisy label is drawn from: the other classes, or all of them."""


def split_validation(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Split off a validation part with the same share of each class.

    Args:
        images: the training images.
        fraction: the share of each class, rounded to whole images, that goes to validation; in
            [0, 1).
        seed: the seed of the random choice.

    Returns:
        The training and the validation part: disjoint, and together all images.

    Raises:
        UserError: for a fraction outside [0, 1).
    """
    kept, held = split_indices(images.labels, fraction, seed)
    return images.take(kept), images.take(held)


def split_indices(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the two parts of :func:`split_validation`, each in order."""
    if not 0 <= fraction < 1:
        raise UserError(f"a validation part of {fraction:g} is not in [0, 1).")
    held = torch.zeros(len(labels), dtype=torch.bool)
    for rows in _classes_in_random_order(labels, seed):
        held[rows[: round(fraction * len(rows))]] = True
    return (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)


def subset(images: Images, fraction: float, seed: int) -> Images:
    """Keep a share of each class, at least one image of it.

    Subsets with the same seed are nested: a larger one contains the smaller ones.

    Raises:
        UserError: for a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise UserError(f"a subset of {fraction:g} of the images is not in (0, 1].")
    return images.take(subset_indices(images.labels, fraction, seed))


def subset_indices(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Return the indices of what :func:`subset` keeps, in order."""
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for rows in _classes_in_random_order(labels, seed):
        kept[rows[: max(1, round(fraction * len(rows)))]] = True
    return kept.nonzero().squeeze(1)


def add_label_noise(
    images: Images, rate: float, num_classes: int, seed: int, mode: LabelNoise = "other"
) -> Images:
    """Give exactly ``round(rate * N)`` random samples a label at random (symmetric noise).

    Args:
        images: the images with their true labels.
        rate: the share of the samples, in [0, 1).
        num_classes: the number of classes.
        seed: the seed of the samples and of their labels.
        mode: "other": the new label is uniform over the other classes, so that ``rate`` is the
            share of wrong labels; "uniform": over all classes, so that of the chosen samples one
            in ``num_classes`` keeps its label.

    Raises:
        UserError: for a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise UserError(f"a label noise of {rate:g} is not in [0, 1).")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(images), generator=generator)[: round(rate * len(images))]
    labels = images.labels.clone()
    least = 1 if mode == "other" else 0
    shift = torch.randint(least, max(num_classes, 2), (len(chosen),), generator=generator)
    labels[chosen] = (labels[chosen] + shift) % num_classes
    return Images(images.images, labels)


def balanced_sample(images: Images, count: int, seed: int = 0) -> Images:
    """Take ``count`` images, from one class after another in turn.

    Every prefix is balanced too, and the first n images of a sample are the sample of n images.

    Raises:
        UserError: if there are fewer images than that.
    """
    if count > len(images):
        raise UserError(f"{count} images are requested but there are only {len(images)}.")
    return images.take(balanced_order(images.labels, seed)[:count])


def balanced_order(labels: Tensor, seed: int) -> Tensor:
    """Return an order of all samples in which every prefix is as balanced as possible."""
    classes = _classes_in_random_order(labels, seed)
    turn = torch.cat([torch.arange(len(rows)) for rows in classes])
    generator = torch.Generator().manual_seed(seed)
    tie = torch.randperm(len(labels), generator=generator)  # no class is first in every turn
    rank = turn * len(labels) + tie
    return torch.cat(classes)[rank.argsort()]


def _classes_in_random_order(labels: Tensor, seed: int) -> list[Tensor]:
    """Return the indices of each class that occurs, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    groups = [(labels == label).nonzero().squeeze(1) for label in labels.unique()]
    return [rows[torch.randperm(len(rows), generator=generator)] for rows in groups]
