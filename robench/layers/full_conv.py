"""The full convolution: every position at which the kernel and the image overlap.

On the CPU, torch's gradient of a 3x3 weight at padding 2 takes 2 to 9 times as long as at padding 1
(torch 2.14): oneDNN has no fast kernel for it. The same sum is the weight gradient of a
convolution without padding, in which image and gradient have changed places,

    dw[t]  =  sum_q g[q] x[q + t - r]  =  sum_p x[p] g[p + (r - t)],    r = d (k - 1),

so that t runs backwards. It multiplies no zeros of the padding, and copies nothing.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from robench.layers.small_maps import is_small, tap_products

Pair = tuple[int, int]


def full_conv(x: Tensor, weight: Tensor, dilation: Pair, groups: int) -> Tensor:
    """Return the convolution of stride 1 with d (k - 1) zeros around the image.

    Args:
        x: (B, in, H, W).
        weight: (out, in / groups, kh, kw).
        dilation: of rows and columns.
        groups: of channels.

    Returns:
        (B, out, H + d (kh - 1), W + d (kw - 1)), in the dtype that ``torch.autocast`` asks for.
    """
    if x.device.type != "cpu" or not weight.requires_grad or not torch.is_grad_enabled():
        return F.conv2d(x, weight, None, 1, _reach(weight, dilation), dilation, groups)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
    y: Tensor = _FullConv.apply(x, weight, dilation, groups)
    return y


class _FullConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: Pair, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation, ctx.groups = dilation, groups
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x, weight, None, 1, _reach(weight, dilation), dilation, groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,), groups = gradients, ctx.groups
        dx = dweight = None
        with torch.autocast("cpu", enabled=False):
            if ctx.needs_input_grad[0]:
                reach = _reach(weight, ctx.dilation)
                dx = _derive(gradient, x, weight, reach, ctx.dilation, groups, image=True)
            if ctx.needs_input_grad[1] and groups == 1 and is_small(x):
                dweight = _tapped(gradient, x, weight, ctx.dilation)
            elif ctx.needs_input_grad[1]:
                out, inputs, *kernel = weight.shape
                like = weight.new_empty(groups * inputs, out // groups, *kernel)  # just its shape
                swapped = _derive(x, gradient, like, (0, 0), ctx.dilation, groups, image=False)
                dweight = _turned(swapped, groups)
        return dx, dweight, None, None


def _derive(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: Pair,
    dilation: Pair,
    groups: int,
    *,
    image: bool,
) -> Tensor:
    """Return the gradient of a convolution with respect to its image, or else to its weight."""
    found = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, (1, 1), padding, dilation, False, (0, 0), groups,
        [image, not image, False],
    )  # fmt: skip
    result: Tensor = found[0 if image else 1]
    return result


def _tapped(gradient: Tensor, x: Tensor, weight: Tensor, dilation: Pair) -> Tensor:
    kernel, (r1, r2) = (weight.shape[2], weight.shape[3]), _reach(weight, dilation)
    (d1, d2), (rows, columns) = dilation, x.shape[-2:]
    g = gradient.permute(0, 2, 3, 1)
    windows = [
        g[:, r1 - i : r1 - i + rows, r2 - j : r2 - j + columns]
        for i, j in product(range(0, d1 * kernel[0], d1), range(0, d2 * kernel[1], d2))
    ]
    return tap_products(windows, [x.permute(0, 2, 3, 1)] * len(windows), kernel)


def _turned(swapped: Tensor, groups: int) -> Tensor:
    """Exchange inputs and outputs and turn the kernel: (in, out / groups, kh, kw) -> a weight's.

    A matrix a tap: torch transposes one many times faster than four dimensions at once.
    """
    inputs, out, kh, kw = swapped.shape
    taps = swapped.permute(2, 3, 0, 1).reshape(kh * kw, groups, inputs // groups, out)
    turned = taps.new_empty(kh * kw, groups, out, inputs // groups)
    for tap, group in product(range(kh * kw), range(groups)):
        turned[tap, group].copy_(taps[-1 - tap, group].T)
    return turned.view(kh, kw, groups * out, inputs // groups).permute(2, 3, 0, 1)


def _reach(weight: Tensor, dilation: Pair) -> Pair:
    return dilation[0] * (weight.shape[2] - 1), dilation[1] * (weight.shape[3] - 1)
