"""Fashion-MNIST."""

from pathlib import Path
from typing import Any

from robench import Augmentation, DataSet, register_dataset
from robench.data.statistics import MEAN_STD
from robench.data.torchvision_arrays import download, from_arrays


@register_dataset("fashion_mnist", reference="arXiv:1708.07747")
def fashion_mnist(data_dir: Path) -> DataSet:
    """70,000 grayscale images of clothes, 28x28, in 10 classes; downloaded."""
    from torchvision.datasets import FashionMNIST

    def part(folder: Path, train: bool) -> Any:
        return FashionMNIST(folder, train=train, download=True)

    files = "its four *-ubyte.gz files, in FashionMNIST/raw,"
    parts = download("fashion_mnist", files, data_dir, part)
    classes = tuple(parts[1].classes)
    augmentation = Augmentation(crop_padding=2, flip=True)
    return from_arrays("fashion_mnist", parts, classes, *MEAN_STD["fashion_mnist"], augmentation)
