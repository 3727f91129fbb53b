"""A data set: its two parts, its classes, and how it is normalized and augmented."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from robench.data.augment import Augmentation
from robench.data.images import Images
from robench.data.sampling import split_validation
from robench.data.stream import ImageStream

DIGITS = tuple("0123456789")
"""The classes of data sets of digits."""


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        name: the name of the data set in tables.
        train: the training part; the validation part is split off when a network is trained.
        test: the held-out part.
        classes: names of the classes, by label.
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
        """The number of classes."""
        return len(self.classes)

    @property
    def in_channels(self) -> int:
        """The number of channels of an image."""
        return len(self.mean)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image."""
        if isinstance(self.train, ImageStream):
            return self.train.image_size
        height, width = self.train.images.shape[-2:]
        return height, width

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the contents: equal images and classes give the same hash."""
        parts = [self.train.hash(), self.test.hash(), *self.classes]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def held_out(dataset: DataSet, fraction: float, seed: int) -> tuple[Images | ImageStream, Images]:
    """Return the images to train on and the validation part; a stream is not split.

    See :func:`robench.data.split_validation` for the arguments.
    """
    if isinstance(dataset.train, ImageStream):
        return dataset.train, dataset.train.to_images(0, seed)
    return split_validation(dataset.train, fraction, seed)
