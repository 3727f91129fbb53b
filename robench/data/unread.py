"""Parts of a data set that are read when they are first used: an attack needs no training image."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from robench.data.decode import decode
from robench.data.files import ImageFile, read_files
from robench.data.images import Images
from robench.data.index import Listing, listed
from robench.data.stream import ImageStream


class UnreadImages(Images):
    """Images that a function reads when they are first used; errors arise then.

    Args:
        read: returns the images; called once.
    """

    def __init__(self, read: Callable[[], Images]) -> None:
        self._read = read

    @cached_property
    def _all(self) -> Images:
        return self._read()

    @property
    def images(self) -> Tensor:
        """All images, (N, C, H, W) uint8."""
        return self._all.images

    @property
    def labels(self) -> Tensor:
        """All labels, (N,) int64."""
        return self._all.labels


def is_counted(part: Images | ImageStream) -> bool:
    """Return whether the number of images is known without reading them."""
    unread = isinstance(part, UnreadImages) and not isinstance(part, FileImages)
    return not unread or "_all" in vars(part)


class FileImages(UnreadImages):
    """Image files of one size, decoded when they are first used.

    Labels, number and shape are known before, and ``take`` decodes only what it returns.

    Args:
        files: path and label of each image; at least one.
        channels: 1 or 3, of all images.
    """

    def __init__(self, files: Sequence[ImageFile], channels: int) -> None:
        super().__init__(lambda: read_files(files, self.image_shape))
        self.files, self._channels = tuple(files), channels
        self._labels = torch.tensor([label for _, label in files])

    @property
    def labels(self) -> Tensor:
        """All labels, (N,) int64; no file is read."""
        return self._labels

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width, of the first file."""
        _, height, width = decode(self.files[0][0]).shape
        return self._channels, height, width

    def take(self, indices: Tensor) -> Images:
        """Return the samples at ``indices``, in that order."""
        if "_all" in vars(self) or 2 * len(indices) > len(self):
            return super().take(indices)
        return read_files(
            [self.files[i] for i in indices.tolist()], self.image_shape, self.files[0]
        )


class UnreadStream(ImageStream):
    """A stream whose files are listed when they are first used.

    Args:
        root: the folder that contains all images, with one folder per class.
    """

    def __init__(self, root: Path) -> None:
        object.__setattr__(self, "root", root.absolute())  # a field of a frozen dataclass

    @cached_property
    def _listing(self) -> Listing:
        return listed(self.root)

    @property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Path and label of each image."""
        return self._listing.files

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of each file in bytes."""
        return self._listing.sizes
