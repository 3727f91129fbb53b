"""What each step of a training sees: a function of the seed and the step alone.

So a training that was interrupted goes on with the same numbers, whatever was drawn before. All are
drawn on the CPU, so that a GPU sees them, too; those that a defense draws from torch's global
generators follow from a seed of each step.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import torch
from numpy.random import SeedSequence
from torch import Generator, Tensor

from robench.data import DataSet, Images, ImageStream
from robench.data.dataset import require_training
from robench.errors import UserError
from robench.gan.architectures import IMAGE


class Draw(IntEnum):
    """What random numbers are for: each has a stream of its own."""

    ORDER = 0
    NOISE = 1
    LATENTS_OF_DISCRIMINATOR = 2
    LATENTS_OF_GENERATOR = 3
    SAMPLES_OF_LOG = 4
    SEED_OF_STEP = 5


def generator_of(seed: int, draw: Draw, number: int) -> Generator:
    """Return a fresh generator for the ``number``-th use of a stream."""
    high, low = SeedSequence([seed, int(draw), number]).generate_state(2)
    return Generator().manual_seed((int(high) << 32) | int(low))


def latents(count: int, size: int, generator: Generator) -> Tensor:
    """Return (count, size) float32 on the CPU, standard normal."""
    return torch.randn(count, size, generator=generator)


def prepared(images: Tensor, generator: Generator) -> Tensor:
    """Return images as the discriminator sees them: x / 128 - 1 + U(0, 1/128), in [-1, 1).

    Args:
        images: (N, C, H, W) uint8, on any device.
        generator: a CPU generator.
    """
    noise = torch.rand(images.shape, generator=generator).to(images.device)
    return images.float() / 128 - 1 + noise / 128


@dataclass(eq=False)
class Batches:
    """The batches of images of a training, by number; images are neither flipped nor cropped.

    Each pass over the images has an order of its own; what is left over at its end is left out.

    Attributes:
        images: (N, 3, 32, 32) uint8.
        size: images per batch.
        seed: the seed of order and noise.
        device: the device of the batches.

    Raises:
        UserError: if there are fewer images than a batch takes.
    """

    images: Tensor
    size: int
    seed: int
    device: torch.device
    _order: Tensor = field(init=False)
    _pass: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        if len(self.images) < self.size:
            raise UserError(
                f"there are {len(self.images)} training images, fewer than batch_size = "
                f"{self.size}."
            )

    def batch(self, number: int) -> Tensor:
        """Return the batch with this number, from 0, prepared for the discriminator."""
        in_pass = len(self.images) // self.size
        index, place = divmod(number, in_pass)
        if index != self._pass:
            shuffled = generator_of(self.seed, Draw.ORDER, index)
            self._order = torch.randperm(len(self.images), generator=shuffled)
            self._pass = index
        rows = self._order[place * self.size : (place + 1) * self.size]
        chosen = self.images[rows].to(self.device)
        return prepared(chosen, generator_of(self.seed, Draw.NOISE, number))


def training_images(dataset: DataSet) -> Images:
    """Return the images that a GAN is trained on: all training images, without a validation part.

    Raises:
        UserError: if there are none, or they are not 32x32 images of three colors in memory.
    """
    require_training(dataset)
    shape = dataset.test.image_shape
    if shape != IMAGE:
        raise UserError(
            f"{dataset.name} has images of {shape[1]}x{shape[2]} with {shape[0]} channels; a GAN "
            f"needs 32x32 images of 3 colors, such as those of cifar10."
        )
    if isinstance(dataset.train, ImageStream):
        raise UserError(f"{dataset.name} is streamed; a GAN needs training images in memory.")
    return dataset.train
