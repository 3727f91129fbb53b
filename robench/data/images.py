"""Images in memory, and their batches."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.data.augment import Augmentation, augment
from robench.errors import UserError
from robench.system.processes import Shard


class WrongImagesError(UserError):
    """Images or labels of another form than :class:`Images` has; who knows their name adds it."""


@dataclass(frozen=True)
class Images:
    """Labeled images held in memory.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.

    Raises:
        UserError: if a shape or dtype is wrong, or the lengths differ.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            shape = tuple(self.images.shape)
            raise WrongImagesError(
                f"images are {self.images.dtype} {shape}, not uint8 (N, C, H, W)."
            )
        if self.labels.ndim != 1 or self.labels.dtype != torch.int64:
            shape = tuple(self.labels.shape)
            raise WrongImagesError(f"labels are {self.labels.dtype} {shape}, not int64 (N,).")
        if len(self.images) != len(self.labels):
            raise WrongImagesError(
                f"there are {len(self.images)} images but {len(self.labels)} labels."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def take(self, indices: Tensor) -> "Images":
        """Return the samples at ``indices``, in that order."""
        return Images(self.images[indices], self.labels[indices])

    def batch_count(self, batch_size: int) -> int:
        """Return the number of batches in a shuffled pass."""
        return len(_bounds(len(self), batch_size, drop_single=True))

    def batches(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
        shard: Shard = Shard(),  # noqa: B008 - it is frozen
        skip: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, C, H, W) float32 in [0, 1] and labels (B,) int64.

        Args:
            batch_size: B; the last batch may be smaller. A shuffled pass drops a last batch of
                one sample, which has no batch statistics.
            generator: a CPU generator of order and augmentation; None yields the images in order
                and without augmentation.
            augmentation: the augmentation of a shuffled pass.
            device: the device of the batches.
            shard: the part of each batch to yield.
            skip: how many batches to leave out, at the beginning; the others are the same.
        """
        device = torch.device(device)
        order = None if generator is None else torch.randperm(len(self), generator=generator)
        bounds = _bounds(len(self), batch_size, drop_single=order is not None)
        for number, (start, end) in enumerate(bounds):
            rows = slice(start, end) if order is None else order[start:end]
            images, labels = self.images[rows], self.labels[rows]
            if device.type == "cuda":
                images, labels = images.pin_memory(), labels.pin_memory()
            images = images.to(device, non_blocking=True)
            if augmentation is not None and generator is not None:
                images = augment(images, augmentation, generator)
            if number < skip:  # its augmentation was drawn
                continue
            labels = labels.to(device, non_blocking=True)
            yield shard.of(images).float().div_(255), shard.of(labels)

    def hash(self) -> str:
        """Return the sha256 of shape, images and labels, in hexadecimal."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()


def _bounds(count: int, batch_size: int, *, drop_single: bool) -> list[tuple[int, int]]:
    bounds = [(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    if drop_single and bounds and bounds[-1][1] - bounds[-1][0] == 1:
        bounds.pop()
    return bounds
