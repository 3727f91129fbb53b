"""Mean and std of the channels of well-known data sets, as most training code sets them."""

from collections.abc import Mapping
from types import MappingProxyType

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
"""Data set -> mean and std of each channel, of images in [0, 1]."""
