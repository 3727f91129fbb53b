"""The pairs of generator and discriminator, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from robench.errors import UserError, did_you_mean
from robench.gan.sngan_cnn import CnnDiscriminator, CnnGenerator
from robench.gan.sngan_resnet import ResNetDiscriminator, ResNetGenerator

IMAGE = (3, 32, 32)
"""Channels, height and width of the images of all of them."""


@dataclass(frozen=True)
class Architecture:
    """A pair of networks; their weights are drawn from torch's global random generator.

    Attributes:
        generator: from width and latent size; latent vectors (N, latent) -> images in [-1, 1].
        discriminator: from width; images -> scores (N,). It has no norm layers, and its last
            layer is a :class:`robench.gan.head.Head` of the name ``head``.
        width: the authors' own.
    """

    generator: Callable[[int, int], nn.Module]
    discriminator: Callable[[int], nn.Module]
    width: int


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "sngan_resnet": Architecture(ResNetGenerator, ResNetDiscriminator, width=128),
        "sngan_cnn": Architecture(CnnGenerator, CnnDiscriminator, width=64),
    }
)


def architecture(name: str) -> Architecture:
    """Return the pair of that name.

    Raises:
        UserError: if there is none.
    """
    if name not in ARCHITECTURES:
        raise UserError(f"no GAN is named '{name}'; {did_you_mean(name, ARCHITECTURES)}")
    return ARCHITECTURES[name]
