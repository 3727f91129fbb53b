"""Notices about images: what is read otherwise than a user may expect."""

import warnings

import torch
from torch import Tensor

from robench.errors import RobenchWarning
from robench.system.processes import this_shard


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


def scale_notice(images: Tensor, what: str = "the images") -> str | None:
    """Return a sentence if images that are divided by 255 seem to be in [0, 1] already, or None.

    Args:
        images: of any type; only uint8 is divided.
        what: which images they are, in words.
    """
    if images.dtype != torch.uint8 or not images.numel() or images.max() > 1:
        return None
    return (
        f"{what} are all but black, since none of their values is above 1 of 255: if they were "
        f"scaled before, give floats in [0, 1], and multiply masks of 0 and 1 by 255."
    )
