"""Mean and standard deviation of the channels of images."""

import torch
from torch import Tensor


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
