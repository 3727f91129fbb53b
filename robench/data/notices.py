"""Notices about images: what is read otherwise than a user may expect."""

import warnings

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
