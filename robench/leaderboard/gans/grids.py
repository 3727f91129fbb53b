"""Hold a published grid of samples against one that was drawn again."""

import io

import numpy as np
from PIL import Image

from robench.gan.architectures import IMAGE

LEVELS = 1.0
"""Mean difference in levels of 255 by which a sample that is drawn again may differ: another
machine rounds otherwise, and a value of a pixel may then be cut to the next one."""

EXACT = 0.999
"""Share of the values of a grid that are equal if the machine computes as the other one did: of one
that only rounds otherwise, a few of 10,000 values are cut to the next one."""

_TILE = IMAGE[1] + 2
"""Pixels from one sample of a grid to the next."""


def pixels(content: bytes) -> np.ndarray:
    """Return the pixels of a PNG file, (H, W, 3) float64.

    Raises:
        OSError: if it is not one.
        ValueError: if it has far more pixels than a grid.
    """
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        if picture.width * picture.height > 10**7:
            raise ValueError("it has too many pixels")
        return np.asarray(picture.convert("RGB"), dtype=np.float64)


def same_grid(found: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether two grids (H, W, 3) show the same samples, each for itself.

    A mean over all samples would let one of them be replaced.
    """
    if found.shape != expected.shape:
        return False
    difference = np.abs(found - expected).mean(2)
    height, width = (-(-side // _TILE) * _TILE for side in difference.shape)
    whole = np.zeros((height, width))
    whole[: difference.shape[0], : difference.shape[1]] = difference
    tiles = whole.reshape(height // _TILE, _TILE, width // _TILE, _TILE)
    return bool((tiles.mean((1, 3)) <= LEVELS).all())


def exact_grid(found: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether two grids are so alike that one machine, or one like it, has drawn both."""
    return found.shape == expected.shape and float((found == expected).mean()) >= EXACT
