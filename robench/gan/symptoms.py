"""What is wrong with a training that did not end with an error, seen in its log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ZERO_LOSS = 0.01
"""A discriminator with a lower loss tells all images from all samples: at hinge loss, no gradient
is left for it."""

REPEATED = 0.1
"""Diversity below which samples count as repeated: copies with small differences."""

LASTING = 3
"""Rows of the log, up to its end, that show a symptom before it is named."""


@dataclass(frozen=True)
class LogRow:
    """A row of ``training.csv``: means over the steps since the last row.

    Attributes:
        step: the number of steps done.
        lr: the learning rate of the last of them.
        discriminator_loss: without the defense's penalty.
        generator_loss: that of the generator.
        real_score: the discriminator's score of images.
        fake_score: its score of samples.
        diversity: see :func:`diversity`, of the generator after the last step.
        seconds: how long the steps took.
    """

    step: int
    lr: float
    discriminator_loss: float
    generator_loss: float
    real_score: float
    fake_score: float
    diversity: float
    seconds: float


def nearest(images: Tensor) -> float:
    """Return the median distance (L2) of an image to the nearest other one.

    Args:
        images: (N, C, H, W) uint8, at least two.
    """
    flat = images.flatten(1).double().cpu() / 255
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.fill_diagonal_(torch.inf).min(1).values.median())


def diversity(samples: Tensor, images: Tensor) -> float:
    """Return how far samples lie apart, compared with as many images: 0 if each has a copy.

    Unlike the mean distance of pairs, this is 0 also if there are several groups of copies.

    Args:
        samples: (N, C, H, W) uint8.
        images: likewise, of the training set.
    """
    return nearest(samples) / max(nearest(images), 1e-12)


def symptoms(rows: Sequence[LogRow]) -> dict[str, str]:
    """Return a sentence for each thing that is wrong at the end of a training, by its name.

    ``zero_loss``: the discriminator has won; ``repeated_samples``: the generator has collapsed.
    """
    found = {}
    if since := _since(rows, lambda row: row.discriminator_loss < ZERO_LOSS):
        found["zero_loss"] = (
            f"the loss of the discriminator has been below {ZERO_LOSS:g} since step {since}: it "
            f"tells all samples from all images"
        )
    if since := _since(rows, lambda row: row.diversity < REPEATED):
        found["repeated_samples"] = (
            f"samples have repeated one another since step {since}: the median sample is "
            f"{rows[-1].diversity:.2g} times as far from the nearest other one as an image is"
        )
    return found


def _since(rows: Sequence[LogRow], shows: Callable[[LogRow], bool]) -> int | None:
    """Return the step of the first of the last rows that all show a symptom; None if too few do."""
    last = None
    count = 0
    for row in reversed(rows):
        if not shows(row):
            break
        last, count = row.step, count + 1
    return last if count >= LASTING else None
