"""The ResNet pair of SNGAN for 32x32 images (Miyato et al. 2018, arXiv:1802.05957, Table 4).

Widths and details are those of the authors' code: the shortcuts are 1x1 convolutions, the
discriminator averages over 2x2 pixels to downsample and sums over all pixels at its end, and its
last layer has no bias. Weights are Glorot uniform, with gain sqrt(2) in the 3x3 convolutions of
blocks; biases are zero.
"""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from robench.gan.head import Head

BOTTOM = 4
"""Side of the generator's first map."""

BN_EPS = 2e-5
"""The default of Chainer, in which the authors' code is written."""


def _glorot(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _conv3(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    _glorot(conv, math.sqrt(2))
    return conv


def _conv1(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 1)
    _glorot(conv)
    return conv


class UpBlock(nn.Module):
    """BN-ReLU-upsample-conv-BN-ReLU-conv, and a 1x1 convolution of the upsampled input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels, eps=BN_EPS)
        self.conv1 = _conv3(channels, channels)
        self.norm2 = nn.BatchNorm2d(channels, eps=BN_EPS)
        self.conv2 = _conv3(channels, channels)
        self.shortcut = _conv1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of twice the side."""
        out = self.conv1(F.interpolate(F.relu(self.norm1(x)), scale_factor=2))
        out = self.conv2(F.relu(self.norm2(out)))
        # A 1x1 convolution commutes with upsampling, and costs a quarter before it.
        return out + F.interpolate(self.shortcut(x), scale_factor=2)


class ResNetGenerator(nn.Module):
    """Latent vectors (N, latent) -> images (N, 3, 32, 32) in [-1, 1].

    Args:
        width: width of the discriminator; the maps here have twice as many channels.
        latent: size of a latent vector.
    """

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.channels = channels = 2 * width
        self.first = nn.Linear(latent, channels * BOTTOM**2)
        _glorot(self.first)
        self.blocks = nn.Sequential(*(UpBlock(channels) for _ in range(3)))
        self.norm = nn.BatchNorm2d(channels, eps=BN_EPS)
        self.last = nn.Conv2d(channels, 3, 3, padding=1)
        _glorot(self.last)

    def forward(self, z: Tensor) -> Tensor:
        """Generate images."""
        maps = self.first(z).reshape(-1, self.channels, BOTTOM, BOTTOM)
        return self.last(F.relu(self.norm(self.blocks(maps)))).tanh()


class FirstBlock(nn.Module):
    """conv-ReLU-conv-downsample of the images, and a 1x1 convolution of the downsampled ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3(3, channels)
        self.conv2 = _conv3(channels, channels)
        self.shortcut = _conv1(3, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of half the side."""
        out = self.conv2(F.relu(self.conv1(x)))
        return F.avg_pool2d(out, 2) + self.shortcut(F.avg_pool2d(x, 2))


class Block(nn.Module):
    """ReLU-conv-ReLU-conv, and its input, or both downsampled with a 1x1 convolution of it."""

    def __init__(self, channels: int, *, down: bool) -> None:
        super().__init__()
        self.conv1 = _conv3(channels, channels)
        self.conv2 = _conv3(channels, channels)
        self.shortcut = _conv1(channels, channels) if down else None

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same side, or half of it."""
        out = self.conv2(F.relu(self.conv1(F.relu(x))))
        if self.shortcut is None:
            return out + x
        return F.avg_pool2d(out, 2) + F.avg_pool2d(self.shortcut(x), 2)


class ResNetDiscriminator(nn.Module):
    """Images (N, 3, 32, 32) in [-1, 1] -> scores (N,)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            FirstBlock(width),
            Block(width, down=True),
            Block(width, down=False),
            Block(width, down=False),
        )
        self.head = Head(width, 1, bias=False)
        _glorot(self.head.linear)

    def forward(self, x: Tensor) -> Tensor:
        """Score images."""
        pooled = F.relu(self.blocks(x)).sum((2, 3), keepdim=True)
        return self.head(pooled).flatten()
