"""CIFAR-10."""

from pathlib import Path
from typing import Any

from robench import DataSet, register_dataset
from robench.data.augment import CROP_AND_FLIP
from robench.data.statistics import MEAN_STD
from robench.data.torchvision_arrays import download, from_arrays


@register_dataset("cifar10", reference="Krizhevsky 2009")
def cifar10(data_dir: Path) -> DataSet:
    """60,000 color images of 32x32 in 10 classes; downloaded."""
    from torchvision.datasets import CIFAR10

    def part(folder: Path, train: bool) -> Any:
        return CIFAR10(folder, train=train, download=True)

    parts = download("cifar10", "cifar-10-python.tar.gz", data_dir, part)
    mean, std = MEAN_STD["cifar10"]
    return from_arrays("cifar10", parts, tuple(parts[1].classes), mean, std, CROP_AND_FLIP)
