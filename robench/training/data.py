"""Training data, epoch by epoch; the seed determines all of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.data import Augmentation, Images, ImageStream
from robench.system.processes import Shard
from robench.system.random_state import seed_torch


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images, their augmentation, and the seed.

    Attributes:
        train: the images to train on.
        val: the images for ``val_accuracy``; may be empty.
        augmentation: the augmentation of each training batch.
        seed: the seed of the order and augmentation of the images, and of dropout.
    """

    train: Images | ImageStream
    val: Images
    augmentation: Augmentation
    seed: int

    def minibatches(
        self, epoch: int, batch_size: int, device: torch.device, shard: Shard, skip: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the images and labels of an epoch's minibatches, and seed torch for its dropout.

        Args:
            epoch: the epoch, counted from 0.
            batch_size: images per minibatch, in all processes together.
            device: the device of the minibatches.
            shard: the part of each minibatch to return.
            skip: how many minibatches to leave out, at the beginning.
        """
        return self.train.batches(
            batch_size,
            generator=seed_epoch(self.seed, epoch, device),
            augmentation=self.augmentation,
            device=device,
            shard=shard,
            skip=skip,
        )

    def two_images(self, device: torch.device) -> Tensor:
        """Return two training images as the network will see them, (2, C, H, W)."""
        some = self.train.batches(
            2,
            generator=torch.Generator().manual_seed(0),
            augmentation=self.augmentation,
            device=device,
        )
        return next(iter(some))[0]


def seed_epoch(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    """Seed torch for an epoch (dropout) on a device, and return the generator of its batches."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    seed_torch(device, int(torch.randint(2**62, (), generator=generator)))
    return generator
