"""Kuzushiji-MNIST."""

from pathlib import Path
from typing import Any

from robench import Augmentation, DataSet, register_dataset
from robench.data.torchvision_arrays import download, from_arrays


@register_dataset("kmnist", reference="arXiv:1812.01718")
def kmnist(data_dir: Path) -> DataSet:
    """70,000 cursive Japanese characters, 28x28, in 10 classes; downloaded."""
    from torchvision.datasets import KMNIST

    def part(folder: Path, train: bool) -> Any:
        return KMNIST(folder, train=train, download=True)

    parts = download("kmnist", "its four *-ubyte.gz files, in KMNIST/raw,", data_dir, part)
    classes = tuple(parts[1].classes)
    return from_arrays("kmnist", parts, classes, None, None, Augmentation(crop_padding=2))
