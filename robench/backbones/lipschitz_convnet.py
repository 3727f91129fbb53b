"""A network of Lipschitz constant 1 if its convolutions have it (Prach et al., CVPR 2024).

Nothing besides the convolutions can expand a distance: activations sort, sides are halved by moving
pixels into channels, channels are padded with zeros or left out, and there are neither norm layers
nor shortcuts. With a defense that keeps every convolution at norm 1 or below, logits move by at
most the distance of the images, times the constant of the image normalization. arXiv:2311.16833.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench import LayerBound, Stem, UserError, register_backbone


class MaxMin(nn.Module):
    """Sorts each pair of channels (Anil et al. 2019), so that neither norms nor gradients shrink.

    The first half of the channels becomes the larger of each pair, the second half the smaller.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to the same shape; C is even."""
        one, other = x.chunk(2, 1)
        return torch.cat([torch.maximum(one, other), torch.minimum(one, other)], 1)

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return that it keeps distances, exactly."""
        return LayerBound(norm=1.0)


class ZeroChannels(nn.Module):
    """Appends channels of zeros, and zeros below and on the right up to a multiple of a side."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.channels, self.side = channels, side

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H', W')."""
        (height, width), missing = x.shape[-2:], self.channels - x.shape[1]
        return F.pad(x, (0, -width % self.side, 0, -height % self.side, 0, missing))

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return that it keeps distances, exactly."""
        return LayerBound(norm=1.0)


class FirstChannels(nn.Module):
    """Keeps the first channels, or features, and leaves out the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to (B, channels, ...)."""
        return x[:, : self.channels]

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return that it keeps distances, exactly."""
        return LayerBound(norm=1.0)


@register_backbone("lipschitz_convnet", reference="arXiv:2311.16833")
def lipschitz_convnet(
    num_classes: int,
    in_channels: int = 3,
    width: int = 16,
    stem: Stem = "cifar",
    *,
    blocks: int = 5,
    depth: int = 5,
) -> nn.Module:
    """Blocks of convolutions and MaxMin, for layers of norm 1; its widths 16 to 128 are XS to L.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        width: channels of the first block; doubled by each.
        stem: only ``cifar``.
        blocks: number of blocks, each of which halves the side: five for 32x32 pixels. An image is
            padded with zeros to a multiple of 2^blocks. The last block's convolutions are 1x1.
        depth: convolutions in each block.
    """
    if stem != "cifar":
        raise UserError(
            f"lipschitz_convnet has no stem '{stem}': its first layer is 1x1; use 'cifar'."
        )
    last = width * 2**blocks
    if width % 4 or width < in_channels or last < num_classes:
        raise UserError(
            f"lipschitz_convnet of width {width} and {blocks} blocks: the width must be a multiple "
            f"of 4, at least {in_channels} for the image's channels, and its {last} last features "
            f"must suffice for {num_classes} classes; use width=16 and blocks=5, for example."
        )
    layers: list[nn.Module] = [
        ZeroChannels(width, 2**blocks), nn.Conv2d(width, width, 1), MaxMin(),
    ]  # fmt: skip
    for number in range(blocks):
        kernel = 1 if number == blocks - 1 else 3
        layers.append(_block(width * 2**number, depth, kernel))
    layers += [nn.AdaptiveMaxPool2d(1), nn.Conv2d(last, last, 1)]
    return nn.Sequential(*layers, nn.Flatten(), FirstChannels(num_classes))


def _block(channels: int, depth: int, kernel: int) -> nn.Sequential:
    """Map (B, C, H, W) to (B, 2 C, H / 2, W / 2)."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(channels, channels, kernel, padding=kernel // 2), MaxMin()]
    return nn.Sequential(*layers, FirstChannels(channels // 2), nn.PixelUnshuffle(2))
