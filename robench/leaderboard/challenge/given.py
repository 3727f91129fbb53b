"""Read adversarial images that somebody found elsewhere: a safetensors or npz file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from torch import Tensor

from robench.errors import UserError, shortened
from robench.leaderboard.challenge.files import Indices
from robench.system.array_files import read_npz
from robench.system.out_of_memory import is_out_of_memory
from robench.system.reading import MIB, Refused, open_plain
from robench.system.tensor_files import check_safetensors

GIVEN_BYTES = 2048 * MIB
"""Largest size of the arrays that are given: 160,000 images of CIFAR-10 in float32."""

NAMES = ("images", "indices")


@dataclass(frozen=True, eq=False)
class GivenImages:
    """Images as they were given, in the order of their indices.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1].
        indices: (N,) int64, increasing, among the images that the board evaluates.
    """

    images: NDArray[np.float32]
    indices: Indices

    def __len__(self) -> int:
        return len(self.indices)


def read_given(path: Path, samples: int, shape: tuple[int, ...]) -> GivenImages:
    """Read the images that are to lower a row.

    Args:
        path: a safetensors or npz file with ``images`` (N, C, H, W), uint8 or float in [0, 1], and
            ``indices`` (N,), integers; other arrays in it are left alone.
        samples: how many images the board evaluates.
        shape: (C, H, W) of each.

    Raises:
        UserError: if the file is missing, damaged or too large, or an array is missing or of
            another kind, shape or range.
    """
    readers = {".npz": _npz, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise UserError(f"{path} is not .npz or .safetensors; write the images to such a file.")
    if not path.is_file():
        raise UserError(f"there is no file {path}; name the file of images with --images.")
    arrays = readers[path.suffix](path)
    for name in NAMES:
        if name not in arrays:
            raise UserError(
                f"{path} has no array '{name}'; it needs 'images' (N, C, H, W) and 'indices' (N,), "
                f"which say the place of each among the images that the board evaluates."
            )
    indices = _indices(arrays["indices"], samples, path)
    images = _images(arrays["images"], len(indices), shape, path)
    order = np.argsort(indices)
    return GivenImages(images[order], indices[order])


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_npz(path, unpacked=GIVEN_BYTES, names=NAMES)
    except Refused as error:
        raise UserError(f"{path} is not an archive of arrays ({error.reason}).") from error


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        open_plain(path, longest=GIVEN_BYTES).close()
        check_safetensors(path)
        with safetensors.safe_open(path, framework="pt") as opened:
            found = {name: opened.get_tensor(name) for name in NAMES if name in opened.keys()}  # noqa: SIM118 - it is no mapping
        return {name: _array(tensor) for name, tensor in found.items()}
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = error.reason if isinstance(error, Refused) else shortened(error, 200)
        raise UserError(f"{path} is not a complete safetensors file ({reason}).") from error


def _array(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor as NumPy's; it has no bfloat16 and no floats of 8 bits."""
    small = tensor.dtype.is_floating_point and tensor.dtype.itemsize <= 2
    return (tensor.float() if small else tensor).numpy()


def _indices(values: NDArray[Any], samples: int, path: Path) -> Indices:
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise UserError(
            f"the indices of {path} are {values.dtype} of shape {values.shape}; give one integer "
            f"per image."
        )
    if not len(values):
        raise UserError(f"{path} has no images; give at least one.")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= samples:
        raise UserError(
            f"{path} has the index {low if low < 0 else high}, but the board evaluates {samples} "
            f"images, counted from 0."
        )
    found, times = np.unique(values, return_counts=True)
    if (times > 1).any():
        raise UserError(
            f"{path} has the index {found[times > 1][0]} more than once; give one image per index."
        )
    return values.astype(np.int64)


def _images(
    values: NDArray[Any], count: int, shape: tuple[int, ...], path: Path
) -> NDArray[np.float32]:
    if values.shape != (count, *shape):
        channels_last = values.ndim == 4 and values.shape[1:] == (*shape[1:], shape[0])
        hint = "; move the channels to the second place" if channels_last else ""
        raise UserError(
            f"the images of {path} have the shape {values.shape}, but {count} images of the board "
            f"have {(count, *shape)}{hint}."
        )
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(255)
    if values.dtype.kind != "f":
        raise UserError(
            f"the images of {path} are {values.dtype}; give uint8, or floats in [0, 1]."
        )
    with np.errstate(over="ignore"):  # what overflows is infinite, and said so
        images = values.astype(np.float32)
    if not np.isfinite(images).all():
        raise UserError(f"the images of {path} have NaN or infinite pixels; remove these images.")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise UserError(
            f"the images of {path} lie in [{low:g}, {high:g}] but must lie in [0, 1]: give pixels, "
            f"not normalized images, and clip them."
        )
    return images
