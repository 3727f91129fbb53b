"""The files of CIFAR-10-C and its kin: one array per corruption, five severities one by one."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robench.data.images import Images
from robench.data.unread import UnreadImages
from robench.errors import UserError, did_you_mean
from robench.system.reading import open_plain

LABELS = "labels.npy"
SEVERITIES = 5


class CorruptedImages(UnreadImages):
    """Images of some corruptions and severities, of which only those that are used are read.

    Args:
        folder: has ``KIND.npy``, (5 n, H, W, C) uint8, the first n of severity 1, and
            ``labels.npy``, (5 n,), the same labels five times.
        kinds: which files; at least one.
        severities: which severities, from 1 to 5.

    Raises:
        UserError: if a file is missing or of another form.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], severities: Sequence[int]) -> None:
        super().__init__(lambda: self.take(torch.arange(len(self))))
        there = [path.stem for path in sorted(folder.glob("*.npy")) if path.name != LABELS]
        if not there:
            raise UserError(
                f"{folder} has no files of corrupted images, such as fog.npy, and {LABELS}; name "
                f"the folder with --data-dir."
            )
        for kind in kinds:
            if kind not in there:
                raise UserError(f"{folder} has no {kind}.npy; {did_you_mean(kind, there)}")
        self._severities = tuple(severities)
        self._arrays = [_mapped(folder / f"{kind}.npy", 4) for kind in kinds]
        labels = _mapped(folder / LABELS, 1)
        self._each = len(labels) // SEVERITIES
        for array, kind in zip(self._arrays, kinds, strict=True):
            if len(array) != len(labels) or len(labels) % SEVERITIES or not self._each:
                raise UserError(
                    f"{folder / kind}.npy has {len(array)} images and {LABELS} {len(labels)} "
                    f"labels; both need five times as many as there are clean images."
                )
        once = torch.from_numpy(np.array(labels[: self._each], dtype=np.int64))
        self._labels = once.repeat(len(self._arrays) * len(self._severities))

    @property
    def labels(self) -> Tensor:
        """All labels, (N,) int64."""
        return self._labels

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, height, width, channels = self._arrays[0].shape
        return channels, height, width

    def take(self, indices: Tensor) -> Images:
        """Return the samples at ``indices``, in that order."""
        pixels = np.empty((len(indices), *self._arrays[0].shape[1:]), dtype=np.uint8)
        for row, index in enumerate(indices.tolist()):
            part, image = divmod(index, self._each)
            kind, level = divmod(part, len(self._severities))
            start = (self._severities[level] - 1) * self._each
            pixels[row] = self._arrays[kind][start + image]
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        return Images(images, self._labels[indices])


def _mapped(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return an array that stays in its file."""
    open_plain(path).close()
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} is not an array of numbers ({error}).") from None
    if array.ndim != dimensions or array.dtype.kind not in "ui":
        raise UserError(
            f"{path} holds {array.dtype} of shape {array.shape}; it needs whole numbers of "
            f"{dimensions} dimension{'s' if dimensions > 1 else ''}."
        )
    return array
