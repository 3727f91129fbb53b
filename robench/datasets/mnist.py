"""MNIST."""

from pathlib import Path
from typing import Any

from robench import Augmentation, DataSet, register_dataset
from robench.data.dataset import DIGITS
from robench.data.torchvision_arrays import download, from_arrays


@register_dataset("mnist", reference="LeCun et al. 1998")
def mnist(data_dir: Path) -> DataSet:
    """70,000 handwritten digits, 28x28, in 10 classes; downloaded."""
    from torchvision.datasets import MNIST

    def part(folder: Path, train: bool) -> Any:
        return MNIST(folder, train=train, download=True)

    parts = download("mnist", "its four *-ubyte.gz files, in MNIST/raw,", data_dir, part)
    augmentation = Augmentation(crop_padding=2)
    return from_arrays("mnist", parts, DIGITS, (0.1307,), (0.3081,), augmentation)
