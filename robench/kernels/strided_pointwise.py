"""Gradients of strided 1x1 convolutions as matrix products over the pixels that they see.

On a CPU in bf16, torch's gradients take three to five times as long (torch 2.14, the shortcuts of a
ResNet-18 of width 64, batches of 128).
"""

import torch
from torch import Tensor

Pair = tuple[int, int]

BLOCK = 16
"""Channels that oneDNN handles at once with AVX-512; 8 with AVX2."""


def applies(weight: Tensor, stride: Pair, padding: Pair) -> bool:
    """Return whether a convolution of weight (out, in, kh, kw) is a strided 1x1 one."""
    return weight.shape[2:] == (1, 1) and stride != (1, 1) and padding == (0, 0)


def overruns(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> bool:
    """Return whether torch writes beyond its memory where it computes the weight gradient.

    On a CPU in channels_last, with fewer input channels than oneDNN handles at once, the gradient
    is wrong or the process crashes (torch 2.14; https://github.com/uxlfoundation/oneDNN/issues/6035).
    """
    narrow = x.device.type == "cpu" and weight.shape[1] < BLOCK
    return narrow and applies(weight, stride, padding)


def image_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair) -> Tensor:
    """Return the image gradient, of x's shape, in channels_last.

    Args:
        gradient: gradient of the result, (B, out, h, w).
        x: (B, in, H, W).
        weight: (out, in, 1, 1).
        stride: stride of rows and columns.
    """
    seen = gradient.permute(0, 2, 3, 1) @ weight.flatten(1)
    dx = torch.zeros_like(x, memory_format=torch.channels_last)
    dx.permute(0, 2, 3, 1)[:, :: stride[0], :: stride[1]] = seen
    return dx


def weight_gradient(gradient: Tensor, x: Tensor, stride: Pair) -> Tensor:
    """Return the weight gradient, (out, in, 1, 1); see :func:`image_gradient`."""
    seen = x.permute(0, 2, 3, 1)[:, :: stride[0], :: stride[1]].reshape(-1, x.shape[1])
    pixels = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1])
    return (pixels.T @ seen)[:, :, None, None]
