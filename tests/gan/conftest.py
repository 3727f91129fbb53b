"""A small GAN and images for it."""

import pytest
import torch
from torch import Tensor

from robench.gan.spec import GanCell, GanSpec


@pytest.fixture
def images() -> Tensor:
    """Images of two colors each, (40, 3, 32, 32) uint8."""
    colors = torch.randint(0, 256, (40, 3, 2, 1), dtype=torch.uint8)
    return colors.repeat_interleave(16, 2).expand(40, 3, 32, 32).contiguous()


@pytest.fixture
def cell() -> GanCell:
    """A GAN that is trained in a second."""
    spec = GanSpec(
        architecture="sngan_cnn", width=2, latent=4, steps=6, discriminator_steps=2,
        batch_size=8, generator_batch_size=8, log_every=2, averaging=0.5,
    )  # fmt: skip
    return GanCell(
        defense="spectral_norm(bn=False)", data="mine", data_hash="0" * 64, gan=spec, seed=1
    )
