"""CIFAR-100."""

from pathlib import Path
from typing import Any

from robench import DataSet, register_dataset
from robench.data.augment import CROP_AND_FLIP
from robench.data.statistics import MEAN_STD
from robench.data.torchvision_arrays import download, from_arrays


@register_dataset("cifar100", reference="Krizhevsky 2009")
def cifar100(data_dir: Path) -> DataSet:
    """60,000 color images of 32x32 in 100 classes; downloaded."""
    from torchvision.datasets import CIFAR100

    def part(folder: Path, train: bool) -> Any:
        return CIFAR100(folder, train=train, download=True)

    parts = download("cifar100", "cifar-100-python.tar.gz", data_dir, part)
    mean, std = MEAN_STD["cifar100"]
    return from_arrays("cifar100", parts, tuple(parts[1].classes), mean, std, CROP_AND_FLIP)
