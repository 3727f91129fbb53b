"""Weight gradients of convolutions on small maps, as matrix products.

On a CPU in bf16, torch's gradient of a weight takes four times as long on maps of 4x4 pixels as the
matrix product that it is, one a tap of the kernel,

    dw[t]  =  sum over images and pixels p of  g[p] x[s p + d t - padding]^T

(torch 2.14, 512 channels, batches of 128). Larger maps and float32 have no such gap.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[int, int]

MOST_PIXELS = 16
"""Pixels of the map up to which the product is faster."""


def is_small(map_: Tensor) -> bool:
    """Return whether a map (B, C, H, W) is small enough, in bf16 on a CPU."""
    pixels = map_.shape[-2] * map_.shape[-1]
    return map_.dtype == torch.bfloat16 and map_.device.type == "cpu" and pixels <= MOST_PIXELS


def tap_products(outputs: list[Tensor], inputs: list[Tensor], kernel: Pair) -> Tensor:
    """Return a weight (out, in, kh, kw) of products, summed over images and pixels.

    Args:
        outputs: a tensor (B, H, W, out) a tap, rows of the kernel first.
        inputs: likewise (B, H, W, in).
        kernel: kh and kw.
    """
    taps = [
        g.reshape(-1, g.shape[-1]).T @ x.reshape(-1, x.shape[-1])
        for g, x in zip(outputs, inputs, strict=True)
    ]
    return torch.stack(taps).unflatten(0, kernel).permute(2, 3, 0, 1)


@contextmanager
def fast_on_small_maps(model: nn.Module) -> Iterator[None]:
    """Let the convolutions of ``model`` take their weight gradients on small maps as products.

    Only those with zero padding, one group and no bias; the others stay as they are, and so does
    everything outside ``torch.autocast``.
    """
    changed = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and _is_plain(module) and not _is_overridden(module)
    ]
    for conv in changed:
        conv.__dict__["_conv_forward"] = partial(_conv_forward, conv)
    try:
        yield
    finally:
        for conv in changed:
            del conv.__dict__["_conv_forward"]


def _is_plain(conv: nn.Conv2d) -> bool:
    zeros = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return zeros and conv.groups == 1 and conv.bias is None


def _is_overridden(conv: nn.Conv2d) -> bool:
    return type(conv)._conv_forward is not nn.Conv2d._conv_forward


def _conv_forward(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    half = torch.is_autocast_enabled("cpu") and x.device.type == "cpu"
    half = half and torch.get_autocast_dtype("cpu") == torch.bfloat16
    if x.ndim != 4 or not half or not weight.requires_grad or not torch.is_grad_enabled():
        return nn.Conv2d._conv_forward(conv, x, weight, bias)
    geometry = (conv.stride, conv.padding, conv.dilation)
    y: Tensor = _Conv.apply(x.bfloat16(), weight.bfloat16(), *geometry)
    return y


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, *geometry: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        stride, padding, dilation = geometry
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x, weight, None, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,), (stride, padding, dilation) = gradients, ctx.geometry
        small = is_small(gradient)
        image, own = ctx.needs_input_grad[:2]
        with torch.autocast("cpu", enabled=False):
            dx, dweight, _ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, stride, padding, dilation, False, (0, 0), 1,
                [image, own and not small, False],
            )  # fmt: skip
            if own and small:
                kernel = (weight.shape[2], weight.shape[3])
                windows = _windows(x, gradient, kernel, stride, padding, dilation)
                outputs = [gradient.permute(0, 2, 3, 1)] * len(windows)
                dweight = tap_products(outputs, windows, kernel)
        return dx, dweight, None, None, None


def _windows(
    x: Tensor, gradient: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> list[Tensor]:
    """Return for each tap the pixels that it multiplies, (B, H, W, in) of the gradient's size."""
    (s1, s2), (p1, p2), (d1, d2) = stride, padding, dilation
    rows, columns = gradient.shape[-2:]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, p2, p2, p1, p1))
    return [
        padded[:, i : i + s1 * (rows - 1) + 1 : s1, j : j + s2 * (columns - 1) + 1 : s2]
        for i, j in product(range(0, d1 * kernel[0], d1), range(0, d2 * kernel[1], d2))
    ]
