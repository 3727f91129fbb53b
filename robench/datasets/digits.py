"""scikit-learn's digits of 8x8 pixels."""

from pathlib import Path

import numpy as np
import torch

from robench import DataSet, Images, register_dataset
from robench.data.dataset import DIGITS
from robench.data.sampling import split_validation
from robench.data.statistics import channel_statistics


@register_dataset("digits", reference="scikit-learn")
def digits(data_dir: Path) -> DataSet:
    """1,797 digits of 8x8 pixels, embedded: small enough for tests."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy((pixels * (255 / 16)).round().astype(np.uint8)).view(-1, 1, 8, 8)
    train, test = split_validation(Images(images, torch.from_numpy(labels).long()), 0.2, seed=0)
    mean, std = channel_statistics(train.images)
    return DataSet(name="digits", train=train, test=test, classes=DIGITS, mean=mean, std=std)
