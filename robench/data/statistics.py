"""Mean and standard deviation of the channels of images."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

MEAN_STD: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = MappingProxyType(
    {
        "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        "fashion_mnist": ((0.2860,), (0.3530,)),
        "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "mnist": ((0.1307,), (0.3081,)),
        "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    }
)
"""Well-known data set -> mean and std of each channel in [0, 1], as in most training code."""


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel, in [0, 1], to four digits.

    Args:
        images: (N, C, H, W) uint8, at least one image.
    """
    means, stds = [], []
    for channel in images.unbind(1):
        # From the counts of the 256 values: exact, and no float copy of all images.
        # One slice at a time, because bincount copies its input to int64.
        parts = [torch.bincount(p.flatten(), minlength=256) for p in channel.split(4096)]
        counts = torch.stack(parts).sum(0).double()
        values = torch.arange(256, dtype=torch.float64) / 255
        mean = (counts * values).sum() / counts.sum()
        variance = (counts * (values - mean) ** 2).sum() / counts.sum()
        means.append(round(float(mean), 4))
        stds.append(max(round(float(variance.sqrt()), 4), 1e-4))  # a constant channel is legal
    return tuple(means), tuple(stds)
