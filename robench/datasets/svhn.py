"""SVHN: street-view house numbers."""

from pathlib import Path
from typing import Any

from robench import Augmentation, DataSet, register_dataset
from robench.data.dataset import DIGITS
from robench.data.statistics import MEAN_STD
from robench.data.torchvision_arrays import download, from_arrays


@register_dataset("svhn", reference="Netzer et al. 2011")
def svhn(data_dir: Path) -> DataSet:
    """99,289 street-view house numbers, 32x32, in 10 classes; downloaded."""
    from torchvision.datasets import SVHN

    def part(folder: Path, train: bool) -> Any:
        return SVHN(folder, split="train" if train else "test", download=True)

    parts = download("svhn", "train_32x32.mat and test_32x32.mat", data_dir, part)
    mean, std = MEAN_STD["svhn"]
    return from_arrays("svhn", parts, DIGITS, mean, std, Augmentation(crop_padding=4))
