"""Convolutions that add a shortcut and apply ReLU while their output is still in the cache.

On a CPU, a small network spends a third of its time on reading and writing activations for these
two operations; oneDNN, which computes torch's convolutions there, can fuse them.
"""

from typing import Any

import torch
from torch import Tensor, nn

from robench.kernels.depthwise import image_gradient, is_channels_last


def can_fuse(device: torch.device) -> bool:
    """Return whether torch has oneDNN's fused convolutions for a device."""
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


def fits(conv: nn.Conv2d) -> bool:
    """Return whether :class:`FusedConv` supports the padding of ``conv``: zeros, symmetric."""
    return conv.padding_mode == "zeros" and _padding(conv) is not None


class FusedConv(nn.Module):
    """Computes relu(convolution(x) + shortcut) in the precision of its weight."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        padding = _padding(conv)
        assert padding is not None
        self.sizes = (padding, list(conv.stride), list(conv.dilation), conv.groups)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Map (B, C, H, W) to the output of the convolution."""
        dtype = self.weight.dtype
        other = None if shortcut is None else shortcut.to(dtype)
        return _Fused.apply(x.to(dtype), other, self.weight, self.bias, self.sizes)


class _Fused(torch.autograd.Function):
    """The fused forward, and the gradients of its inputs; weights are frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        sizes: Any,
    ) -> Tensor:
        fused = torch.ops.mkldnn._convolution_pointwise
        padding, stride, dilation, groups = sizes
        if shortcut is None:
            y = fused(x, weight, bias, *sizes, "relu", [], "")
        elif groups == 1 and is_channels_last(x):
            y = fused.binary(x, shortcut, weight, bias, *sizes, "add", 1.0, "relu", [], "")
        else:  # oneDNN adds a shortcut only in channels_last and without groups
            with torch.autocast("cpu", enabled=False):
                y = nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
            y = y.add_(shortcut).relu_()
        ctx.save_for_backward(x, weight, y)
        ctx.sizes, ctx.shortcut = sizes, shortcut is not None
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        padding, stride, dilation, groups = ctx.sizes
        gradient = torch.ops.aten.threshold_backward(gradients[0], y, 0)
        kernel = weight.shape[2:]
        same = [stride, dilation, padding] == [[1, 1], [1, 1], [k // 2 for k in kernel]]
        if same and kernel.numel() % 2 and weight.shape[1] == 1 and len(weight) == groups:
            dx = image_gradient(gradient, weight)
        else:
            dx = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, stride, padding, dilation, False, [0, 0], groups,
                [True, False, False],
            )[0]  # fmt: skip
        return dx, gradient if ctx.shortcut else None, None, None, None


def _padding(conv: nn.Conv2d) -> list[int] | None:
    """Return the padding per side of rows and columns; None if it is asymmetric."""
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    return [top, left] if (left, top) == (right, bottom) else None
