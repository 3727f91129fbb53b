"""Corruptions by weather: snow, frost, fog and brightness."""

import numpy as np

from robench.attack_tools.corruptions.blur import along_line, enlarge
from robench.attack_tools.corruptions.draws import Draws, Floats

_GRAY = np.array([0.299, 0.587, 0.114])
"""The weights of red, green and blue in the brightness that one sees."""

_ICE = np.array([0.87, 0.94, 1.0])
"""The color of frost."""


def snow(image: Floats, severity: int, draws: Draws) -> Floats:
    """Whiten the image, and add flakes that were blurred along their fall."""
    mean, spread, size, least, radius, sigma, kept = (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    )[severity - 1]
    flakes = enlarge(mean + spread * draws.normal((*image.shape[:2], 1)), size)
    flakes = np.floor(np.where(flakes < least, 0, flakes).clip(0, 1) * 255) / 255
    flakes = along_line(flakes, int(radius), sigma, float(draws.uniform(-135, -45, (1,))[0]))
    gray = image @ _GRAY[:, None] if image.shape[2] == 3 else image
    white = kept * image + (1 - kept) * np.maximum(image, 1.5 * gray + 0.5)
    return white + flakes + np.rot90(flakes, k=2)


def frost(image: Floats, severity: int, draws: Draws) -> Floats:
    """Lay ice over the image.

    The original takes its ice from six photographs. This draws it, as the ridges of a fractal, so
    that figures are not comparable with those of the files of CIFAR-10-C.
    """
    kept, ice = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    height, width = image.shape[:2]
    ridges = 1 - np.abs(2 * cloud(height, width, 1.7, draws) - 1)
    color = _ICE if image.shape[2] == 3 else np.ones(1)
    return kept * image + ice * (ridges**2)[..., None] * color


def fog(image: Floats, severity: int, draws: Draws) -> Floats:
    """Add a cloud, and scale the sum to the brightness of the image."""
    density, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[severity - 1]
    brightest = image.max()
    height, width = image.shape[:2]
    foggy = image + density * cloud(height, width, decay, draws)[..., None]
    return foggy * brightest / (brightest + density)


def brightness(image: Floats, severity: int, draws: Draws) -> Floats:
    """Raise the value of each pixel's hue, saturation and value."""
    added = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    value = image.max(axis=2, keepdims=True)
    brighter = (value + added).clip(0, 1)
    scaled = image / np.where(value == 0, 1, value) * brighter
    return np.where(value == 0, brighter, scaled)


def cloud(height: int, width: int, decay: float, draws: Draws) -> Floats:
    """Return a fractal (height, width) between 0 and 1, by midpoint displacement on a torus.

    Args:
        height: its height.
        width: its width.
        decay: by how much displacements shrink from each scale to the next finer one.
        draws: the random numbers.
    """
    side = 1 << (max(height, width) - 1).bit_length()
    values = np.zeros((side, side))
    step, size = side, 100.0

    def displaced(sums: Floats) -> Floats:
        return sums / 4 + size * draws.uniform(-size, size, sums.shape)

    while step >= 2:
        half = step // 2
        corners = values[::step, ::step]
        sums = corners + np.roll(corners, -1, 0)
        values[half::step, half::step] = displaced(sums + np.roll(sums, -1, 1))
        centers, corners = values[half::step, half::step], values[::step, ::step]
        across = centers + np.roll(centers, 1, 0) + corners + np.roll(corners, -1, 1)
        values[::step, half::step] = displaced(across)
        down = centers + np.roll(centers, 1, 1) + corners + np.roll(corners, -1, 0)
        values[half::step, ::step] = displaced(down)
        step, size = half, size / decay
    values -= values.min()
    return values[:height, :width] / values.max()
