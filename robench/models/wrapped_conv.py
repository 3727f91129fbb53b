"""Layers that convolve on a torus, by FFT, as convolutions of the wrapped image.

A circular convolution of N pixels per side is a plain one, with a kernel of N pixels, of the image
followed by its own first N - 1 pixels. It takes far more work than an FFT, but every other program
can do it.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.errors import UserError
from robench.layers.circular import Size, dilation_of
from robench.layers.foldable import PLAIN_CONVOLUTIONS


class WrappedConv2d(nn.Module):
    """A circular convolution without transforms.

    Args:
        kernel: (out, in / groups, N1, N2) on the torus, as
            :func:`robench.layers.circular.circular_operator` returns it.
        bias: (out,), or None.
        stride: its stride.
        start: the pixel of the torus that is the first of the result.
        pixels: height and width of the result.
        groups: number of groups.
    """

    # More parameters than usual: they are what a convolution has.
    def __init__(
        self,
        kernel: Tensor,
        bias: Tensor | None,
        *,
        stride: Size,
        start: Size,
        pixels: Size,
        groups: int,
    ) -> None:
        super().__init__()
        self.torus, self.pixels = (kernel.shape[-2], kernel.shape[-1]), pixels
        moved = kernel.detach().roll(start, (-2, -1))
        alone = not moved.flatten(2)[..., 1:].any()
        self.wraps = not alone
        weight = moved[..., :1, :1] if alone else moved
        self.conv = nn.Conv2d(1, 1, 1, stride=stride, groups=1, bias=False)
        self.conv.groups, self.conv.kernel_size = groups, (weight.shape[-2], weight.shape[-1])
        self.conv.out_channels, self.conv.in_channels = len(weight), weight.shape[1] * groups
        self.conv.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        self.conv.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) with H <= N1 and W <= N2 to (B, out, *pixels)."""
        height, width = (n - m for n, m in zip(self.torus, x.shape[-2:], strict=True))
        if height or width:
            x = F.pad(x, (0, width, 0, height))
        if self.wraps:
            x = torch.cat([x, x[..., : self.torus[0] - 1, :]], -2)
            x = torch.cat([x, x[..., : self.torus[1] - 1]], -1)
        result: Tensor = self.conv(x)
        return result[..., : self.pixels[0], : self.pixels[1]]


@torch.no_grad()
def without_transforms(layer: nn.Module, x: Tensor) -> nn.Module | None:
    """Return a layer's convolution without transforms, for one size; None if there is none.

    What a layer convolves with, it tells by ``circular_operator``; where its first pixel is, it
    does not. Two places are tried: a layer may wrap around at the border of the image, as Cayley's
    does, or at the end of a plane that holds the padded image, as ConvNorm's does. What is returned
    computes what the layer computes on ``x``.

    Args:
        layer: the layer, in eval mode.
        x: inputs to try it on, (B, in, H, W).
    """
    if type(layer) in PLAIN_CONVOLUTIONS or not isinstance(layer, nn.Conv2d):
        return None
    if not callable(getattr(layer, "circular_operator", None)):
        return None
    wanted = layer(x)
    for found in _candidates(layer, x, (wanted.shape[-2], wanted.shape[-1])):
        result = found(x)
        scale = wanted.abs().max().clamp_min(1e-30)
        if result.shape == wanted.shape and (result - wanted).abs().max() <= 1e-4 * scale:
            return found.eval().requires_grad_(False)
    return None


def _candidates(layer: Any, x: Tensor, pixels: Size) -> Iterator[nn.Module]:
    size = (x.shape[-2], x.shape[-1])
    same = {"pixels": pixels, "groups": layer.groups}
    for kernel, stride in _operators(layer, size):
        yield WrappedConv2d(kernel, layer.bias, stride=stride, start=(0, 0), **same)
    dense = copy.copy(layer)  # of stride 1, so that its torus is the plane of the padded image
    dense.stride = (1, 1)
    left, _, top, _ = layer._reversed_padding_repeated_twice
    middle = [
        d * ((k - 1) // 2) for d, k in zip(dilation_of(layer), layer.kernel_size, strict=True)
    ]
    start = (middle[0] - top, middle[1] - left)
    for kernel, _ in _operators(dense, size):
        yield WrappedConv2d(kernel, layer.bias, stride=layer.stride, start=start, **same)


def _operators(layer: Any, size: Size) -> Iterator[tuple[Tensor, Size]]:
    """Yield a layer's kernel on its torus and the stride, if it has one that holds the image."""
    try:
        kernel, stride = layer.circular_operator(size)
    except UserError:  # it has no circular operator
        return
    if kernel.shape[-2] >= size[0] and kernel.shape[-1] >= size[1]:
        yield kernel, stride
