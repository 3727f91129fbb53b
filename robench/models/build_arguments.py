"""Sizes, means and deviations that a user hands over, or a sentence on what is wrong with one."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

from robench.errors import UserError, shortened


def whole(name: str, value: object, least: int, what: str) -> int:
    """Return a number of things as an int.

    Args:
        name: the name of the argument.
        value: what was given.
        least: the least number.
        what: of what there are that many.

    Raises:
        UserError: if it is not a whole number of at least ``least``.
    """
    if not isinstance(value, Integral) or int(value) < least:
        raise UserError(f"{name} is {_shown(value)}; give {least} {what} or more.")
    return int(value)


def size_of(value: object) -> tuple[int, int]:
    """Return the height and width of images.

    Raises:
        UserError: if they are not two whole numbers.
    """
    height, width = _sizes("image_size", value, "height and width, such as (32, 32)", 2)
    return height, width


def shape_of(name: str, value: object) -> tuple[int, int, int]:
    """Return the channels, height and width of an image.

    Args:
        name: the name of the argument.
        value: what was given.

    Raises:
        UserError: if they are not three whole numbers.
    """
    what = "channels, height and width, such as (3, 32, 32)"
    channels, height, width = _sizes(name, value, what, 3)
    return channels, height, width


def _sizes(name: str, value: object, what: str, count: int) -> list[int]:
    sizes = tuple(value) if isinstance(value, Sequence) else ()
    if len(sizes) != count:
        raise UserError(f"{name} is {_shown(value)}; give {what}.")
    return [whole(name, size, 1, "pixel") for size in sizes]


def per_channel(name: str, values: object, channels: int) -> list[float]:
    """Return the mean or the standard deviation of each channel.

    Raises:
        UserError: if there is not one finite number per channel, or one for all of them, or a
            standard deviation is not above 0.
    """
    try:
        numbers = [float(value) for value in values]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        alone = f"[{values:g}]" if isinstance(values, Real) else "[0.5, 0.5, 0.5]"
        raise UserError(
            f"{name} is {_shown(values)}; give one number per channel, such as {alone}."
        ) from None
    if len(numbers) not in (1, channels):
        raise UserError(
            f"{name} has {len(numbers)} values but images have {channels} channels; "
            f"give one per channel."
        )
    for number in numbers:
        if not math.isfinite(number) or (name == "std" and number <= 0):
            raise UserError(
                f"{name} has the value {number:g}, by which images cannot be shifted "
                f"or scaled; give those of pixels in [0, 1]."
            )
    return numbers


def _shown(value: object) -> str:
    if hasattr(value, "shape"):  # its values would fill pages
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    return shortened(repr(value))
