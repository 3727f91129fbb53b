"""Augmentation of a whole batch at once, with an independent random crop and flip per image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Random crop after zero padding, and random horizontal flip.

    Attributes:
        crop_padding: pixels of padding on each side; 0 turns the crop off.
        flip: mirror each image with probability 1/2.
    """

    crop_padding: int = 0
    flip: bool = False


CROP_AND_FLIP = Augmentation(crop_padding=4, flip=True)
"""The usual augmentation for photographs of 32x32 pixels, as in CIFAR."""


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return augmented images, each with its own offset and flip.

    Args:
        images: (B, C, H, W) of any dtype, on any device.
        augmentation: the augmentation to apply.
        generator: a CPU generator, so that the result is the same on every device.
    """
    count, _, height, width = images.shape
    padding = augmentation.crop_padding
    rows = torch.arange(height).expand(count, height)
    columns = torch.arange(width).expand(count, width)
    if padding:
        offsets = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)
        rows, columns = rows + offsets[0], columns + offsets[1]
        images = F.pad(images, (padding,) * 4)
    if augmentation.flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    if not padding and not augmentation.flip:
        return images
    sample = torch.arange(count)[:, None, None]
    sample, rows, columns = (
        _moved(index, images.device) for index in (sample, rows[:, :, None], columns[:, None, :])
    )
    # (B, H, W, C): with channels last, an index fetches all channels of a pixel together.
    pixels = images.permute(0, 2, 3, 1)[sample, rows, columns]
    return pixels.permute(0, 3, 1, 2).contiguous()


def _moved(index: Tensor, device: torch.device) -> Tensor:
    """Return an index on a device; a GPU is not waited for, as it is for a copy of plain memory."""
    if device.type != "cuda":
        return index.to(device)
    return index.pin_memory().to(device, non_blocking=True)
