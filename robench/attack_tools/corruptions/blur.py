"""Corruptions by blur: defocus, frosted glass, motion and zoom."""

import math

import numpy as np
from scipy import ndimage

from robench.attack_tools.corruptions.draws import Draws, Floats

_REACH = 8
"""Half the width of the disk's grid."""


def defocus_blur(image: Floats, severity: int, draws: Draws) -> Floats:
    """Convolve with a disk whose edge is smoothed."""
    radius, smoothing = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))[severity - 1]
    grid = np.arange(-_REACH, _REACH + 1)
    disk = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(np.float64)
    taps = np.exp(-(np.arange(-1, 2) ** 2) / (2 * smoothing**2))
    smooth = np.outer(taps, taps) / taps.sum() ** 2
    kernel = ndimage.convolve(disk / disk.sum(), smooth, mode="mirror")
    return ndimage.convolve(image, kernel[..., None], mode="mirror")


def glass_blur(image: Floats, severity: int, draws: Draws) -> Floats:
    """Blur, take pixels from beside them, and blur again.

    The released code means to exchange two pixels but copies one over the other, so that the files
    of CIFAR-10-C hold copies; so does this.
    """
    sigma, reach, passes = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))[
        severity - 1
    ]
    blurred = np.floor(blur(image, sigma) * 255) / 255
    height, width = image.shape[:2]
    for _ in range(passes):
        steps = draws.integers(-reach, reach, (height, width, 2))
        for row in range(height - reach, reach, -1):
            for column in range(width - reach, reach, -1):
                right, down = steps[row, column]
                blurred[row, column] = blurred[row + down, column + right]
    return blur(blurred, sigma)


def motion_blur(image: Floats, severity: int, draws: Draws) -> Floats:
    """Blur along a line at up to 45 degrees to the horizontal."""
    radius, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[severity - 1]
    return along_line(image, radius, sigma, float(draws.uniform(-45, 45, (1,))[0]))


def zoom_blur(image: Floats, severity: int, draws: Draws) -> Floats:
    """Average the image and its enlargements."""
    factors = np.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1], 0.01)
    enlarged = [enlarge(image, factor) for factor in factors]
    return (image + np.sum(enlarged, axis=0)) / (len(factors) + 1)


def blur(image: Floats, sigma: float) -> Floats:
    """Return an image (H, W, C) under a Gaussian filter; the border is repeated."""
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4)


def along_line(image: Floats, radius: int, sigma: float, degrees: float) -> Floats:
    """Return an image (H, W, C) blurred on one side along a line, as ImageMagick does it.

    Args:
        image: the image; its border is repeated.
        radius: the length of the blur is 2 radius + 1 pixels.
        sigma: the standard deviation of its weights, half of a normal distribution.
        degrees: the angle of the line.
    """
    length = 2 * radius + 1
    weights = np.exp(-(np.arange(length) ** 2) / (2 * sigma**2))
    angle = math.radians(degrees)
    rows, columns = np.indices(image.shape[:2])
    blurred = np.zeros_like(image)
    for step, weight in enumerate(weights / weights.sum()):
        down = math.ceil(step * math.sin(angle) - 0.5)
        right = math.ceil(step * math.cos(angle) - 0.5)
        y = np.clip(rows + down, 0, image.shape[0] - 1)
        x = np.clip(columns + right, 0, image.shape[1] - 1)
        blurred += weight * image[y, x]
    return blurred


def enlarge(image: Floats, factor: float) -> Floats:
    """Return the center of an image (H, W, C), enlarged by a factor to the same size."""
    height, width = image.shape[:2]
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    center = image[top : top + rows, left : left + columns]
    large = ndimage.zoom(center, (factor, factor, 1), order=1)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return large[top : top + height, left : left + width]
