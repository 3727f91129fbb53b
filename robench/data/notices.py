"""Notices about images: what is read otherwise than a user may expect."""

import warnings

import torch
from torch import Tensor

from robench.errors import RobenchWarning
from robench.system.processes import this_shard

_LEVEL = 1.001 / 255
"""The darkest gray of 8 bits, and what float32 may make of it."""


def notify(text: str) -> None:
    """Warn of something about a data set, in one of the processes of a run."""
    if this_shard().rank == 0:
        warnings.warn(text, RobenchWarning, stacklevel=3)


def notify_turned(turned: int, count: int, first: object) -> None:
    """Say that the rotation in the EXIF data of ``turned`` of ``count`` files was not applied."""
    if turned:
        notify(
            f"{turned} of {count} image files have EXIF data that ask for a rotation, the first "
            f"is {first}; it is not applied, as in torchvision's ImageFolder."
        )


def image_notices(images: Tensor) -> list[str]:
    """Return a sentence for each way in which images to evaluate seem to be others than are meant.

    Args:
        images: (N, C, H, W), uint8 or float in [0, 1].
    """
    found = [scale_notice(images)]
    if seem_channels_last(images):
        found.append(
            f"the images seem to be (N, H, W, C), since their shape is {tuple(images.shape)}: "
            f"(N, C, H, W) is needed, images.transpose(0, 3, 1, 2) of numpy arrays or "
            f"images.permute(0, 3, 1, 2) of tensors."
        )
    return [notice for notice in found if notice is not None]


def seem_channels_last(images: Tensor) -> bool:
    """Return whether the last axis of (N, C, H, W) has the size of channels, and C has not."""
    return images.shape[3] in (1, 3) and images.shape[1] not in (1, 3)


def scale_notice(images: Tensor, what: str = "the images") -> str | None:
    """Return a sentence if images seem to have been divided by 255 once too often, or None.

    Args:
        images: uint8, which is divided by 255, or float in [0, 1].
        what: which images they are, in words.
    """
    if not images.numel():
        return None
    if images.dtype != torch.uint8:
        if images.max() > _LEVEL:
            return None
        return (
            f"{what} are all but black, since none of their floats is above 1/255: if they were "
            f"divided by 255 twice, divide them once."
        )
    if images.max() > 1:
        return None
    return (
        f"{what} are all but black, since none of their values is above 1 of 255: if they were "
        f"scaled before, give floats in [0, 1], and multiply masks of 0 and 1 by 255."
    )
