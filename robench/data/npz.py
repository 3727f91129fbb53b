"""Images and labels from an ``.npz`` file, to attack a network on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from robench.data.dataset import DataSet
from robench.data.images import Images
from robench.data.measured import MeasuredDataSet
from robench.data.notices import notify
from robench.errors import UserError
from robench.system.array_files import read_npz
from robench.system.reading import MIB, Refused

KEYS = (("images", "labels"), ("x_test", "y_test"), ("test_images", "test_labels"), ("x", "y"))
"""Names of the arrays of images and labels, of which a file has one pair."""

NOT_EIGHT_BITS = 0.1
"""How far from whole values of 0-255 floats may be; half precision is off by up to 0.06."""


_UNPACKED = 256 * MIB
_RATIO = 64
"""What a file may unpack to: so many bytes, or times its size; images seldom shrink to a tenth."""

_MOST_CLASSES = 1_000_000


def load_npz(path: Path) -> DataSet:
    """Read a file of ``numpy.savez`` as a data set without a training part.

    Its arrays are ``images`` (N, H, W, C), (N, C, H, W) or (N, H, W), uint8 or float in [0, 1], and
    ``labels`` (N,), integers; or those of another pair of :data:`KEYS`. ``classes``, the names of
    the classes as text, may be among them. Floats are rounded to 8 bits. Pickled objects are
    refused.

    Raises:
        UserError: if the file is missing or damaged, an array is missing or of another kind, or
            there are two pairs.
    """
    arrays = _read(path)
    pair = _pair(arrays, path)
    pixels = _pixels(arrays[pair[0]], f"'{pair[0]}' of {path}")
    labels = _labels(arrays[pair[1]], f"'{pair[1]}' of {path}")
    if len(pixels) != len(labels) or len(labels) == 0:
        raise UserError(
            f"{path} has {len(pixels)} images and {len(labels)} labels; it needs one label per "
            f"image, and at least one image."
        )
    test = Images(torch.from_numpy(pixels), torch.from_numpy(labels))
    named = arrays.get("classes", np.array([]))
    if named.size > _MOST_CLASSES:
        raise UserError(f"{path} has names of {named.size} classes; at most {_MOST_CLASSES} fit.")
    if named.dtype.kind == "S":
        named = np.char.decode(named, "utf-8", "replace")
    classes = tuple(str(name) for name in named.ravel())
    if classes and len(classes) <= labels.max():
        raise UserError(
            f"{path} has the label {labels.max()}, but names of {len(classes)} classes only."
        )
    return MeasuredDataSet(path.name, test.take(torch.arange(0)), test, classes)


def _pair(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[str, str]:
    """Return the names of the images and the labels in a file.

    Raises:
        UserError: if there is no pair of :data:`KEYS`, or more than one.
    """
    pairs = [pair for pair in KEYS if set(pair) <= set(arrays)]
    if not pairs:
        raise UserError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or '(none)'}, but no images and "
            f"labels: name them " + " or ".join(f"'{x}' and '{y}'" for x, y in KEYS) + "."
        )
    if len(pairs) > 1:
        raise UserError(
            f"{path} has the images and labels "
            + " and also ".join(f"'{x}' and '{y}'" for x, y in pairs)
            + "; save a file that has only the pair to attack."
        )
    return pairs[0]


def _read(path: Path) -> Mapping[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"no file of images found at {path}.")
    try:
        unpacked = max(_UNPACKED, _RATIO * path.stat().st_size)
        return read_npz(path, unpacked=unpacked, names={"classes", *(n for p in KEYS for n in p)})
    except Refused as error:
        if "Python objects" in error.reason:
            raise UserError(
                f"{path} holds Python objects, and reading them could execute code; save plain "
                f"arrays of numbers with numpy.savez."
            ) from None
        raise UserError(
            f"{path} is not a complete file of numpy.savez ({error.reason})."
        ) from error


def _pixels(values: np.ndarray, what: str) -> np.ndarray:
    """Return images as uint8 (N, C, H, W)."""
    values = _channels_first(values, what)
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise UserError(f"{what} is {values.dtype}; save uint8 in 0-255, or floats in [0, 1].")
    low, high = (float(f(values)) if values.size else 0.0 for f in (np.min, np.max))
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # also for NaN
        raise UserError(
            f"{what} has floats from {low:g} to {high:g}; save images in [0, 1] before any "
            f"normalization, or uint8 in 0-255."
        )
    scaled = values.astype(np.float32) * 255
    rounded = np.rint(scaled)
    if values.size and np.abs(scaled - rounded).max() > NOT_EIGHT_BITS:
        notify(f"{what} is rounded to 8 bits per channel: its floats are no multiples of 1/255.")
    return np.ascontiguousarray(rounded.clip(0, 255).astype(np.uint8))


def _channels_first(values: np.ndarray, what: str) -> np.ndarray:
    if values.ndim == 3:
        return values[:, None]
    shape = "x".join(map(str, values.shape))
    if values.ndim != 4:
        raise UserError(f"{what} has the shape {shape}; images are (N, H, W, C) or (N, C, H, W).")
    first, last = (values.shape[axis] in (1, 3) for axis in (1, 3))
    if first and not last:
        return values
    if last and not first:
        return values.transpose(0, 3, 1, 2)
    reason = "either the first or the last axis of an image" if first else "no axis of an image"
    raise UserError(
        f"{what} has the shape {shape}, where {reason} could be its 1 or 3 channels; save "
        f"(N, H, W, C) or (N, C, H, W) with images larger than 3x3."
    )


def _labels(values: np.ndarray, what: str) -> np.ndarray:
    """Return labels as int64 (N,)."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        shape = "x".join(map(str, values.shape))
        raise UserError(
            f"{what} is {values.dtype} of shape {shape}; labels are one whole number per image, "
            f"counted from 0."
        )
    if values.size and values.min() < 0:
        raise UserError(f"{what} has the label {values.min()}; labels are counted from 0.")
    if values.size and values.max() >= _MOST_CLASSES:
        raise UserError(
            f"{what} has the label {values.max()}; at most {_MOST_CLASSES} classes fit."
        )
    return values.astype(np.int64)
