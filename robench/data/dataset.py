"""A data set: its two parts, its classes, and how it is normalized and augmented."""

import copy
import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import torch

from robench.data.augment import Augmentation
from robench.data.images import Images
from robench.data.sampling import split_validation
from robench.data.stream import ImageStream
from robench.errors import UserError

DIGITS = tuple("0123456789")
"""The classes of data sets of digits."""


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        name: the name of the data set in tables.
        train: the training part; the validation part is split off when a network is trained.
        test: the held-out part.
        classes: names of the classes, by label; empty if only the labels are known.
        mean: mean of each channel, of images in [0, 1].
        std: standard deviation of each channel, of images in [0, 1].
        augmentation: the usual augmentation of this data set.
    """

    name: str
    train: Images | ImageStream
    test: Images | ImageStream
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation = Augmentation()

    @property
    def num_classes(self) -> int:
        """The number of classes; one more than the largest test label if they have no names."""
        return len(self.classes) or self._largest_label + 1

    @property
    def in_channels(self) -> int:
        """The number of channels of an image."""
        return self.test.image_shape[0]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.test.image_shape[1:]

    def named(self, name: str) -> "DataSet":
        """Return this data set under another name; nothing is read for it."""
        other = copy.copy(self)
        object.__setattr__(other, "name", name)
        return other

    def accepts(self, logits: int) -> bool:
        """Return whether a network with so many logits fits the classes."""
        return logits == len(self.classes) if self.classes else logits > self._largest_label

    @property
    def _largest_label(self) -> int:
        labels = self.test.labels if isinstance(self.test, Images) else torch.zeros(1)
        return int(labels.max())

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the contents: equal images and classes give the same hash."""
        parts = [self.train.hash(), self.test.hash(), *self.classes]
        return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def require_training(dataset: DataSet) -> None:
    """Check that there are images to train on.

    Raises:
        UserError: if there are none.
    """
    if len(dataset.train) == 0:
        raise UserError(
            f"{dataset.name} has no training images: a network can be attacked on it, but not "
            f"trained; name data with a training part (a folder 'train' next to 'test')."
        )


def require_classes(dataset: DataSet) -> None:
    """Check that a classifier has a logit for the label of each image that it is trained on.

    Raises:
        UserError: if it cannot be known how many classes there are.
    """
    if dataset.classes:
        return
    if isinstance(dataset.train, ImageStream) or isinstance(dataset.test, ImageStream):
        raise UserError(f"{dataset.name} is streamed and names no classes; name them.")
    largest = int(dataset.train.labels.max())
    if largest >= dataset.num_classes:
        raise UserError(
            f"{dataset.name} names no classes, and its training images have the label {largest}, "
            f"which none of its test images has: name the classes."
        )


def check_labels(dataset: DataSet, images: Images | ImageStream, part: str) -> None:
    """Check that the labels of a part are those of the classes.

    Args:
        dataset: the data set.
        images: a part of it, whose labels are read.
        part: what the part is called, in words.

    Raises:
        UserError: if a label is negative, or there is no class of its number.
    """
    if isinstance(images, ImageStream):
        labels = [label for _, label in images.files]
    else:
        labels = images.labels.unique().tolist()
    wrong = [label for label in labels if not 0 <= label < (len(dataset.classes) or math.inf)]
    if wrong:
        names = f"it names {len(dataset.classes)} classes, and " if dataset.classes else ""
        raise UserError(
            f"the data set '{dataset.name}' has {part} images with the label {wrong[0]}, but "
            f"{names}labels are counted from 0."
        )


def held_out(dataset: DataSet, fraction: float, seed: int) -> tuple[Images | ImageStream, Images]:
    """Return the images to train on and the validation part; a stream is not split.

    See :func:`robench.data.split_validation` for the arguments.

    Raises:
        UserError: if there are no training images, it cannot be known how many classes they have,
            a label is of no class, or for a fraction outside [0, 1).
    """
    require_training(dataset)
    require_classes(dataset)
    check_labels(dataset, dataset.train, "training")
    if isinstance(dataset.train, ImageStream):
        return dataset.train, dataset.train.to_images(0, seed)
    return split_validation(dataset.train, fraction, seed)
