"""Corruptions by processing: contrast, elastic deformation, large pixels, JPEG compression."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from robench.attack_tools.corruptions.draws import Draws, Floats


def contrast(image: Floats, severity: int, draws: Draws) -> Floats:
    """Move all values towards the mean of their channel."""
    kept = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * kept + mean


def elastic_transform(image: Floats, severity: int, draws: Draws) -> Floats:
    """Deform the image: a random affine map, then smooth displacements."""
    side = min(image.shape[:2])
    strength, smoothness, reach = (
        side * np.array([(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05),
                         (0.1, 0.03, 0.03)])[severity - 1]
    )  # fmt: skip
    moved = _affine(image, float(reach), draws)
    shifts = [
        strength
        * ndimage.gaussian_filter(
            draws.uniform(-1, 1, image.shape[:2]), smoothness, mode="reflect", truncate=3
        )
        for _ in range(2)
    ]
    rows, columns = np.indices(image.shape[:2])
    return _sample(moved, rows + shifts[1], columns + shifts[0], "reflect")


def pixelate(image: Floats, severity: int, draws: Draws) -> Floats:
    """Shrink the image and enlarge it again, without smoothing."""
    kept = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    height, width = image.shape[:2]
    small = _picture(image).resize((int(width * kept), int(height * kept)), Image.Resampling.BOX)
    return _values(small.resize((width, height), Image.Resampling.BOX))


def jpeg_compression(image: Floats, severity: int, draws: Draws) -> Floats:
    """Compress the image as a JPEG file."""
    file = io.BytesIO()
    _picture(image).save(file, "JPEG", quality=(80, 65, 58, 50, 40)[severity - 1])
    with Image.open(file) as compressed:
        return _values(compressed)


def _affine(image: Floats, reach: float, draws: Draws) -> Floats:
    """Move three points around the center by up to ``reach`` pixels, and the image with them."""
    height, width = image.shape[:2]
    y, x, third = height // 2, width // 2, min(height, width) // 3
    points = np.array([(x + third, y + third), (x + third, y - third), (x - third, y - third)])
    moved = points + draws.uniform(-reach, reach, points.shape)
    back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points.astype(np.float64))
    rows, columns = np.indices((height, width))
    places = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back
    return _sample(image, places[..., 1], places[..., 0], "mirror")


def _sample(image: Floats, rows: Floats, columns: Floats, mode: str) -> Floats:
    channels = [
        ndimage.map_coordinates(image[..., c], (rows, columns), order=1, mode=mode)
        for c in range(image.shape[2])
    ]
    return np.stack(channels, axis=-1)


def _picture(image: Floats) -> Image.Image:
    pixels = np.rint(image * 255).astype(np.uint8)
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def _values(picture: Image.Image) -> Floats:
    return np.atleast_3d(np.asarray(picture)) / 255.0
