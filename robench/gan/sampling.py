"""Samples of a generator as 8-bit images, and pictures of them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.utils import make_grid

from robench.attack_tools.randomness import generators, normal

BATCH = 100
"""Samples that are computed at a time, as in SNGAN's code."""


def to_8_bits(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as uint8: x * 127.5 + 127.5, clamped and truncated.

    This is what SNGAN's code does before it computes any metric; nothing else rounds samples.
    """
    return (images.float() * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)


@contextmanager
def evaluating(generator: nn.Module) -> Iterator[None]:
    """Have a generator in eval mode, without gradients."""
    training = generator.training
    generator.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        generator.train(training)


def samples_of(generator: nn.Module, z: Tensor) -> Tensor:
    """Return the samples of latent vectors (N, latent) as (N, 3, 32, 32) uint8 on the CPU.

    The generator is in eval mode meanwhile: its samples do not depend on one another.
    """
    device = next(generator.parameters()).device
    with evaluating(generator):
        parts = [to_8_bits(generator(part.to(device))).cpu() for part in z.split(BATCH)]
    return torch.cat(parts).contiguous()


def draw(generator: nn.Module, latent: int, count: int, seed: int) -> Tensor:
    """Return samples (count, 3, 32, 32) uint8; each is a function of the seed and its number.

    Args:
        generator: the network.
        latent: the size of its latent vectors.
        count: how many samples.
        seed: the seed of the latent vectors.
    """
    parts = [range(at, min(at + BATCH, count)) for at in range(0, count, BATCH)]
    drawn = (normal(generators(seed, part), (latent,)) for part in parts)
    return torch.cat([samples_of(generator, z) for z in drawn])


def grid_png(images: Tensor) -> bytes:
    """Return the PNG file of a grid of images (N, 3, H, W) uint8, as square as it can be."""
    columns = max(1, round(len(images) ** 0.5))
    return png(make_grid(images, nrow=columns, padding=2, pad_value=255))


def png(image: Tensor) -> bytes:
    """Return the PNG file of one image (3, H, W) uint8."""
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, format="png")
    return buffer.getvalue()
