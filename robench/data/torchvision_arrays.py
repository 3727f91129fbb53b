"""Data sets that torchvision downloads: its arrays as Images, its failures as user errors."""

import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from tarfile import TarError
from typing import Any

import numpy as np
import torch

from robench.data.augment import Augmentation
from robench.data.dataset import DataSet
from robench.data.images import Images
from robench.data.measured import MeasuredDataSet
from robench.data.unread import UnreadImages
from robench.errors import UserError

# No network, a cut connection, a wrong checksum, a damaged archive.
DOWNLOAD_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    HTTPException,
    TarError,
    UnpicklingError,
    zlib.error,
)


def download(
    name: str, files: str, data_dir: Path, part: Callable[[Path, bool], Any]
) -> tuple[Callable[[], Any], Any]:
    """Return the parts of a torchvision data set, downloaded if missing.

    Args:
        name: the name of the data set, for the message.
        files: the files that its author publishes, in words, for the message.
        data_dir: the folder where they are or are downloaded to.
        part: (folder, training part or not) -> torchvision's data set.

    Returns:
        A function that returns the training part, so that an attack does not read it; and the test
        part. Both raise a UserError if files are missing or damaged and cannot be downloaded.

    Raises:
        UserError: if that is so for the test part.
    """

    def read(training: bool) -> Any:
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            return part(data_dir, training)
        except DOWNLOAD_ERRORS as error:
            raise UserError(
                f"{name} is missing or incomplete in {data_dir} and cannot be downloaded "
                f"({error}); put {files} there, or name their folder with --data-dir."
            ) from error

    return lambda: read(True), read(False)


def from_arrays(
    name: str,
    parts: tuple[Callable[[], Any], Any],
    classes: tuple[str, ...],
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    augmentation: Augmentation,
) -> DataSet:
    """Build a data set from the parts that :func:`download` returns.

    A mean and std of None are measured on the training part when they are first needed. The other
    arguments are the fields of :class:`robench.data.DataSet`.
    """
    read_train, test = parts
    train = UnreadImages(lambda: images_of(read_train()))
    return MeasuredDataSet(name, train, images_of(test), classes, mean, std, augmentation)


def images_of(part: Any) -> Images:
    """Turn a torchvision data set's arrays, (N, H, W[, C]) or SVHN's (N, C, H, W), into Images."""
    pixels = torch.as_tensor(np.asarray(part.data))
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[1] not in (1, 3):
        pixels = pixels.permute(0, 3, 1, 2)
    labels = part.targets if hasattr(part, "targets") else part.labels
    return Images(pixels.contiguous(), torch.as_tensor(np.asarray(labels)).long())
