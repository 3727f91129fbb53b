"""Image files of one size, decoded into memory."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import torch
from torch import Tensor

from robench.data.decode import ImageSource, decode_and_inspect
from robench.data.images import Images
from robench.data.notices import notify_turned
from robench.errors import UserError

ImageFile = tuple[Path, int]
"""The path and the label of an image."""

PER_THREAD = 22_000
"""Pixels of a JPEG file that take as long to decode, while other threads may use the interpreter,
as each file keeps the interpreter busy. So many more pixels are worth one more thread."""


def read_files(
    files: Sequence[tuple[ImageSource, int]],
    shape: tuple[int, int, int],
    first: tuple[ImageSource, int] | None = None,
) -> Images:
    """Decode image files; those of one channel are repeated to as many as ``shape`` has.

    Args:
        files: path or content, and label of each image.
        shape: channels, height and width.
        first: the file that has this height and width, for the message; by default, the first.

    Raises:
        UserError: if one is not a complete image or has another size; the message names it.
    """
    paths = [path for path, _ in files]
    # Many files per task: submitting a task costs as much as decoding a 32x32 image.
    tasks = [paths[start : start + 256] for start in range(0, len(paths), 256)]
    with ThreadPoolExecutor(decoding_threads(shape)) as pool:
        decoded = [image for part in pool.map(_decode_all, tasks) for image in part]
    for (image, _), path in zip(decoded, paths, strict=True):
        if image.shape[1:] != shape[1:]:
            raise UserError(
                f"{(first or files[0])[0]} is {shape[2]}x{shape[1]} but {path} is "
                f"{image.shape[2]}x{image.shape[1]}; resize them to one size."
            )
    turned = [path for path, (_, other) in zip(paths, decoded, strict=True) if other]
    notify_turned(len(turned), len(paths), next(iter(turned), None))
    pixels = torch.empty(len(paths), *shape, dtype=torch.uint8)
    for index, (image, _) in enumerate(decoded):
        pixels[index] = image
    return Images(pixels, torch.tensor([label for _, label in files], dtype=torch.int64))


def decoding_threads(shape: tuple[int, int, int]) -> int:
    """Return how many threads decode images of a shape (channels, height, width) fastest.

    More of them only take the interpreter from one another.
    """
    _, height, width = shape
    return min(1 + round(height * width / PER_THREAD), joblib.cpu_count())


def _decode_all(paths: Sequence[ImageSource]) -> list[tuple[Tensor, bool]]:
    return [decode_and_inspect(path) for path in paths]
