"""Convolutions of frozen weights in float32 on a GPU, where cuDNN is slow without TF32.

An H100 (cuDNN of PyTorch 2.11) convolves 1,024 maps of 64 channels on 32x32, 128 on 16x16 or 256 on
8x8 pixels in 2.0 to 2.3 ms, but 512 on 4x4, which are as many multiplications, in 6.6; at the rate
of its matrix products it would be 1.6. For the image gradients of the first three cuDNN takes 3.2
to 6.8 ms, for the convolutions with the flipped kernel that they are 2.0 to 2.4. Hence

- on small maps, a product of windows: (pixels, taps * in) x (taps * in, out);
- for a full convolution of small maps, whose result has more pixels than the image, a product
  (pixels, in) x (in, taps * out), each tap of which is added where it belongs;
- the image gradient as a convolution.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from robench.kernels.small_maps import kernel_matrix, reach, windows

Pair = tuple[int, int]

GATHERED = 16
"""Pixels of a result up to which it is a product of windows."""

SPREAD = 64
"""Pixels of an image up to which its full convolution is a product of pixels."""

WIDE = 256
"""Channels of a result up to which its image gradient is computed as a convolution; with 512 on 4x4
pixels cuDNN's own was the faster one."""

ELEMENTS = 2**27
"""Elements of windows or of tap results held at a time, half a gigabyte."""


class Float32Conv(nn.Conv2d):
    """A convolution with zero padding whose weight is frozen; see the module for what it is for."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        trained = bias is not None and bias.requires_grad and torch.is_grad_enabled()
        if trained or not suits(input, weight) or input.ndim != 4:
            return super()._conv_forward(input, weight, bias)
        stride: Any = self.stride
        padding: Any = self.padding
        dilation: Any = self.dilation
        return convolve(input, weight, bias, stride, padding, dilation)


def can_replace(conv: nn.Conv2d) -> bool:
    """Return whether :class:`Float32Conv` computes what a plain convolution does."""
    return conv.groups == 1 and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def suits(x: Tensor, weight: Tensor) -> bool:
    """Return whether a convolution is one in full float32, of a frozen weight, on a GPU."""
    single = x.dtype == weight.dtype == torch.float32
    if x.device.type != "cuda" or not single or torch.is_autocast_enabled("cuda"):
        return False
    trains = weight.requires_grad and torch.is_grad_enabled()
    return not trains and not torch.backends.cudnn.allow_tf32


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Return the convolution, differentiable with respect to x.

    Args:
        x: (B, in, H, W).
        weight: (out, in, kh, kw).
        bias: (out,), or None.
        stride: stride of rows and columns.
        padding: zeros on either side of rows and columns.
        dilation: dilation of rows and columns.
    """
    y: Tensor = _Conv.apply(x, weight, bias, stride, padding, dilation)
    return y


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *sizes: Pair) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.sizes = x.shape, sizes
        y = _result(x, weight, *sizes)
        return y if bias is None else y.add_(bias.view(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        dx = image_gradient(gradients[0], weight, ctx.shape, *ctx.sizes)
        return dx, *[None] * 5


def image_gradient(
    gradient: Tensor, weight: Tensor, shape: torch.Size, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Return the gradient of an image of some shape, given that of the result."""
    beyond = tuple(r - p for r, p in zip(reach(weight, dilation), padding, strict=True))
    wide = len(weight) > WIDE and shape[2] * shape[3] > GATHERED
    if torch.is_grad_enabled() or stride != (1, 1) or min(beyond) < 0 or wide:
        return conv2d_input(shape, weight, gradient, stride, padding, dilation)
    flipped = weight.flip(2, 3).transpose(0, 1)
    flipped = flipped.contiguous(memory_format=torch.channels_last)
    return _result(gradient, flipped, (1, 1), (beyond[0], beyond[1]), dilation)


def _result(x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    reached, pixels = reach(weight, dilation), x.shape[2] * x.shape[3]
    height, width = (
        (n + 2 * p - r - 1) // s + 1
        for n, p, r, s in zip(x.shape[2:], padding, reached, stride, strict=True)
    )
    if min(height, width) < 1:  # torch's own error says why
        return F.conv2d(x, weight, None, stride, padding, dilation)
    if pixels <= SPREAD and padding == reached != (0, 0) and stride == (1, 1):
        return spread(x, weight, dilation)
    if height * width <= GATHERED:
        return gathered(x, weight, stride, padding, dilation)
    return F.conv2d(x, weight, None, stride, padding, dilation)


def gathered(x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """Return the convolution as a product of windows, in channels_last."""
    seen, matrix = windows(x, weight, stride, padding, dilation), kernel_matrix(weight)
    y = _empty(x, len(weight), seen.shape[1], seen.shape[2])
    images = max(1, ELEMENTS // max(1, seen[:1].numel()))
    pixels = y.permute(0, 2, 3, 1)
    for part, target in zip(seen.split(images), pixels.split(images), strict=True):
        torch.mm(part.reshape(-1, len(matrix)), matrix, out=target.view(-1, len(weight)))
    return y


def spread(x: Tensor, weight: Tensor, dilation: Pair) -> Tensor:
    """Return the full convolution as a product of pixels, in channels_last."""
    out, _, kh, kw = weight.shape
    (r1, r2), (height, width) = reach(weight, dilation), x.shape[2:]
    # torch's convolution is a correlation: tap t brings x[p] to the pixel p + (reach - d t).
    matrix = weight.permute(1, 2, 3, 0).reshape(weight.shape[1], -1)
    y = _empty(x, out, height + r1, width + r2).zero_()
    images = max(1, ELEMENTS // max(1, height * width * matrix.shape[1]))
    pixels, found = x.permute(0, 2, 3, 1), y.permute(0, 2, 3, 1)
    for part, target in zip(pixels.split(images), found.split(images), strict=True):
        taps = (part.reshape(-1, part.shape[3]) @ matrix).view(*part.shape[:3], kh, kw, out)
        for i in range(kh):
            for j in range(kw):
                top, left = r1 - dilation[0] * i, r2 - dilation[1] * j
                target[:, top : top + height, left : left + width] += taps[:, :, :, i, j]
    return y


def _empty(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    size = (len(x), channels, height, width)
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
