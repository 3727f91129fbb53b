"""Depthwise convolutions whose image gradient is a convolution.

On a CPU in bf16, torch's image gradient of a depthwise convolution takes twice as long as the
equivalent convolution with the flipped kernel, if the padding is the same on all sides (torch
2.14). On a GPU, see FEW.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.kernels.autocast import autocast_dtype, products_of

Pair = tuple[int, int]


FEW = 64
"""Images up to which a GPU uses torch's own kernel. cuDNN's is faster, but is prepared anew, for a
tenth of a second and more, for each shape of an image and each size of batch."""


class Depthwise(nn.Conv2d):
    """A depthwise convolution of stride 1 that keeps the image size."""

    def __init__(self, channels: int, kernel_size: Pair) -> None:
        super().__init__(channels, channels, kernel_size, padding="same", groups=channels)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        odd = all(k % 2 for k in self.kernel_size)
        dtype = autocast_dtype(input) or input.dtype
        if input.device.type == "cuda" and input.ndim == 4 and len(input) <= FEW:
            return self._by_planes(input, weight, bias)
        half = input.device.type == "cpu" and dtype == torch.bfloat16
        if not half or not odd or not torch.is_grad_enabled() or input.ndim != 4:
            return super()._conv_forward(input, weight, bias)
        y: Tensor = _Depthwise.apply(
            input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        )
        return y

    def _by_planes(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve in the memory format for which torch has a kernel of its own, on a GPU."""
        memory_format = torch.channels_last if is_channels_last(x) else torch.contiguous_format
        # Its strides tell the format of a weight, and those of one channel may be of either.
        plain = weight.flatten().view(weight.shape)
        y = super()._conv_forward(x.contiguous(), plain, bias)
        return y.contiguous(memory_format=memory_format)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,), (image, *own) = gradients, ctx.needs_input_grad
        dx = image_gradient(gradient, weight) if image else None
        dweight = dbias = None
        if any(own):
            with torch.autocast("cpu", enabled=False):
                operands = (products_of(t) for t in (gradient, x, weight))
                _, dweight, dbias = torch.ops.aten.convolution_backward(
                    *operands, [len(weight)], (1, 1), _padding(weight), (1, 1), False,
                    (0, 0), len(weight), [False, *own],
                )  # fmt: skip
        dweight, dbias = (None if t is None else t.to(x.dtype) for t in (dweight, dbias))
        return dx, dweight, dbias


def image_gradient(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of the image, (B, C, H, W).

    Args:
        gradient: gradient of the result, (B, C, H, W).
        weight: (C, 1, kh, kw), of odd sides.
    """
    return _convolve(gradient, weight.flip(2, 3), None)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    added = None if bias is None else products_of(bias)
    with torch.autocast("cpu", enabled=False):
        y = F.conv2d(
            products_of(x), products_of(weight), added, 1, _padding(weight), 1, len(weight)
        )
        return y.to(x.dtype)


def is_channels_last(x: Tensor) -> bool:
    """Return whether a tensor (B, C, H, W) is in channels_last, and in no other format."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _padding(weight: Tensor) -> Pair:
    return weight.shape[2] // 2, weight.shape[3] // 2
