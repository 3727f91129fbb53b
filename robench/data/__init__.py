"""Data sets: images as uint8 tensors in memory, batched augmentation, splits, label noise."""

from robench.data.augment import Augmentation, augment
from robench.data.dataset import DataSet, held_out
from robench.data.images import Images
from robench.data.load import load_dataset
from robench.data.sampling import add_label_noise, balanced_sample, split_validation, subset
from robench.data.stream import ImageStream

__all__ = [
    "Augmentation",
    "DataSet",
    "ImageStream",
    "Images",
    "add_label_noise",
    "augment",
    "balanced_sample",
    "held_out",
    "load_dataset",
    "split_validation",
    "subset",
]
