"""A network of Lipschitz constant 1 if its convolutions have it (Prach et al., CVPR 2024).

Nothing besides the convolutions can expand a distance: activations sort, sides are halved by moving
pixels into channels or by the norms of windows, channels are padded with zeros or left out, and
there are neither norm layers nor shortcuts. With a defense that keeps every convolution at norm 1
or below, logits move by at most the distance of the images, times the constant of the image
normalization. arXiv:2311.16833.

Convolutions begin as orthogonal matrices in the middle of their kernels (delta-orthogonal,
arXiv:1806.05393), biases as zeros: a layer that divides a kernel by a tight bound of its norm
leaves this one as it is (``conv_sn`` divides by 1.02 to 1.04). From torch's own initialization,
layers whose bound is generous, such as AOL's, shrink the signal many times over, and the network
does not train.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from robench import LayerBound, Stem, UserError, register_backbone
from robench.kernels.max_min import max_min

Activation = Literal["maxmin", "householder"]
"""What is between the convolutions: a sorted pair, or a pair reflected at a learned line."""
Head = Literal["truncated", "normalized"]
"""The last layer: a convolution whose first channels are the logits, or a linear layer with rows of
norm 1, which need not be orthogonal to one another: logits together may then move further than the
image, but each one does not, and a radius depends on the distance of two rows."""

Downsampling = Literal["space_to_depth", "l2_pool"]
"""How a side is halved: half of the channels with their pixels as channels, or norms of windows."""


class Exact(nn.Module):
    """A layer that keeps distances or shrinks them, and only moves or compares numbers."""

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return that it does not expand distances, and rounds nothing."""
        return LayerBound(norm=1.0)


class MaxMin(Exact):
    """Sorts each pair of channels (Anil et al. 2019), so that neither norms nor gradients shrink.

    The first half of the channels becomes the larger of each pair, the second half the smaller.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to the same shape; C is even."""
        return max_min(x)


class Householder(nn.Module):
    """Reflects each pair of channels to one side of a learned line (arXiv:2108.04062).

    With n = (sin(t / 2), -cos(t / 2)), a pair z becomes z + 2 relu(-n z) n: itself where n z > 0,
    and its mirror image elsewhere. It is continuous, keeps distances on each side, and is MaxMin
    where t = pi / 2, from which it starts. The pairs are those of :class:`MaxMin`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.angle = nn.Parameter(torch.full((channels // 2,), math.pi / 2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to the same shape; C is even."""
        one, other = x.chunk(2, 1)
        half = (self.angle / 2).to(x.dtype).view(-1, *[1] * (x.ndim - 2))
        sine, cosine = half.sin(), half.cos()
        beyond = 2 * F.relu(cosine * other - sine * one)
        return torch.cat([one + beyond * sine, other - beyond * cosine], 1)

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return that it does not expand distances; with absolute values, I + 2 |n| |n|^T does."""
        return LayerBound(norm=1.0, absolute=3.0, terms=16)


class UnitRows(nn.Module):
    """Divides the rows of a matrix by their norms; rows of almost no norm stay."""

    def forward(self, weight: Tensor) -> Tensor:
        """Map (rows, columns) to the same shape."""
        norms = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
        return weight / torch.where(norms > 1e-9, norms, torch.ones_like(norms))


class ZeroChannels(Exact):
    """Appends channels of zeros, and zeros below and on the right up to a multiple of a side."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.channels, self.side = channels, side

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H', W')."""
        (height, width), missing = x.shape[-2:], self.channels - x.shape[1]
        return F.pad(x, (0, -width % self.side, 0, -height % self.side, 0, missing))


class FirstChannels(Exact):
    """Keeps the first channels, or features, and leaves out the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to (B, channels, ...)."""
        return x[:, : self.channels]


class L2Pool(nn.Module):
    """Replaces windows by their norms: | ||a|| - ||b|| | <= ||a - b||, window by window.

    No epsilon is needed: where a window is zero, torch's gradient of its norm is zero, too, which
    is one of the norm's subgradients.

    Args:
        side: of a window, and its stride, so that windows do not overlap.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H / side, W / side).

        Raises:
            UserError: if the side of an image is not a multiple of that of a window.
        """
        (height, width), side = x.shape[-2:], self.side
        if height % side or width % side:
            raise UserError(
                f"L2-norm pooling by {side} takes sides that are multiples of {side}, and these "
                f"are {height}x{width}: pad the images with zeros first."
            )
        windows = x.unflatten(-1, (-1, side)).unflatten(-3, (-1, side))
        return torch.linalg.vector_norm(windows, dim=(-3, -1))

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return that it does not expand distances; the sum of squares and the root round."""
        return LayerBound(norm=1.0, absolute=1.0, terms=self.side**2 + 2)


# More parameters than usual: they are the options that a board may set.
@register_backbone("lipschitz_convnet", reference="arXiv:2311.16833")
def lipschitz_convnet(
    num_classes: int,
    in_channels: int = 3,
    width: int = 16,
    stem: Stem = "cifar",
    *,
    blocks: int = 5,
    depth: int = 5,
    activation: Activation = "maxmin",
    head: Head = "truncated",
    downsampling: Downsampling = "space_to_depth",
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
        activation: ``maxmin``, or ``householder`` for learned reflections of pairs.
        head: ``truncated``, a convolution like the others, or ``normalized``, a linear layer with
            rows of norm 1.
        downsampling: ``space_to_depth``, or ``l2_pool``: the norms of windows of 2x2 pixels, and as
            many channels of zeros.
    """
    if stem != "cifar":
        raise UserError(
            f"lipschitz_convnet has no stem '{stem}': its first layer is 1x1; use 'cifar'."
        )
    for option, value, valid in (
        ("activation", activation, Activation),
        ("head", head, Head),
        ("downsampling", downsampling, Downsampling),
    ):
        if value not in get_args(valid):
            names = "' or '".join(get_args(valid))
            raise UserError(f"lipschitz_convnet: {option} is '{value}'; it must be '{names}'.")
    last = width * 2**blocks
    if width % 4 or width < in_channels or last < num_classes:
        raise UserError(
            f"lipschitz_convnet of width {width} and {blocks} blocks: the width must be a multiple "
            f"of 4, at least {in_channels} for the image's channels, and its {last} last features "
            f"must suffice for {num_classes} classes; use width=16 and blocks=5, for example."
        )
    layers: list[nn.Module] = [
        ZeroChannels(width, 2**blocks), _conv(width, 1), _activation(activation, width),
    ]  # fmt: skip
    for number in range(blocks):
        kernel = 1 if number == blocks - 1 else 3
        channels = width * 2**number
        layers += [_block(channels, depth, kernel, activation, downsampling)]
    layers += [nn.AdaptiveMaxPool2d(1), *_head(head, last, num_classes)]
    return nn.Sequential(*layers)


def _block(
    channels: int, depth: int, kernel: int, activation: Activation, downsampling: Downsampling
) -> nn.Sequential:
    """Map (B, C, H, W) to (B, 2 C, H / 2, W / 2)."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [_conv(channels, kernel), _activation(activation, channels)]
    if downsampling == "l2_pool":
        return nn.Sequential(*layers, L2Pool(2), ZeroChannels(2 * channels, 1))
    return nn.Sequential(*layers, FirstChannels(channels // 2), nn.PixelUnshuffle(2))


def _conv(channels: int, kernel: int) -> nn.Conv2d:
    """Return a convolution that keeps size, channels and distances, until it is trained."""
    conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    nn.init.zeros_(conv.weight)
    with torch.no_grad():
        nn.init.orthogonal_(conv.weight[:, :, kernel // 2, kernel // 2])
    return conv


def _activation(name: Activation, channels: int) -> nn.Module:
    return MaxMin() if name == "maxmin" else Householder(channels)


def _head(name: Head, features: int, classes: int) -> list[nn.Module]:
    """Map (B, features, 1, 1) to (B, classes)."""
    if name == "truncated":
        return [_conv(features, 1), nn.Flatten(), FirstChannels(classes)]
    linear = nn.Linear(features, classes)
    nn.init.zeros_(linear.bias)
    nn.init.orthogonal_(linear.weight)
    return [nn.Flatten(), parametrize.register_parametrization(linear, "weight", UnitRows())]
