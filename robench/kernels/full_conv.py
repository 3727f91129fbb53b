"""The full convolution: every position at which the kernel and the image overlap.

On the CPU, torch's gradient of a 3x3 weight at padding 2 takes 2 to 9 times as long as at padding 1
(torch 2.14): oneDNN has no fast kernel for it. The same sum is the weight gradient of a
convolution without padding in which image and gradient are swapped,

    dw[t]  =  sum_q g[q] x[q + t - r]  =  sum_p x[p] g[p + (r - t)],    r = d (k - 1),

so that t runs backward. It multiplies no padding zeros and copies nothing.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from robench.kernels.autocast import autocast_dtype, products_of
from robench.kernels.float32_conv import convolve, suits
from robench.kernels.small_maps import (
    MAX_PIXELS_OF_WEIGHT_GRADIENT,
    correlate,
    flipped_kernel_matrix,
    is_small,
    multiply,
    reach,
    windows,
)

Pair = tuple[int, int]


def full_conv(x: Tensor, weight: Tensor, dilation: Pair, groups: int) -> Tensor:
    """Return the convolution of stride 1 with d (k - 1) zeros around the image.

    Args:
        x: (B, in, H, W).
        weight: (out, in / groups, kh, kw).
        dilation: dilation of rows and columns.
        groups: number of groups of channels.

    Returns:
        (B, out, H + d (kh - 1), W + d (kw - 1)), in the dtype that ``torch.autocast`` selects.
    """
    if groups == 1 and suits(x, weight):
        return convolve(x, weight, None, (1, 1), reach(weight, dilation), dilation)
    if x.device.type != "cpu" or not weight.requires_grad or not torch.is_grad_enabled():
        return F.conv2d(x, weight, None, 1, reach(weight, dilation), dilation, groups)
    if (dtype := autocast_dtype(x)) is not None:
        x, weight = x.to(dtype), weight.to(dtype)
    y: Tensor = _FullConv.apply(x, weight, dilation, groups)
    return y


class _FullConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: Pair, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation, ctx.groups = dilation, groups
        dtype = x.dtype
        with torch.autocast("cpu", enabled=False):
            x, weight = products_of(x), products_of(weight)
            y = F.conv2d(x, weight, None, 1, reach(weight, dilation), dilation, groups)
            return y.to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,), groups, dtype = gradients, ctx.groups, x.dtype
        dx = dweight = None
        with torch.autocast("cpu", enabled=False):
            gradient, x, weight = (products_of(t) for t in (gradient, x, weight))
            image, own = ctx.needs_input_grad[:2]
            if image and groups == 1 and is_small(x):
                seen = windows(gradient, weight, (1, 1), (0, 0), ctx.dilation)
                dx = multiply(seen, flipped_kernel_matrix(weight))
            elif image:
                padding = reach(weight, ctx.dilation)
                dx = _derive(gradient, x, weight, padding, ctx.dilation, groups, image=True)
            if own and groups == 1 and is_small(x, MAX_PIXELS_OF_WEIGHT_GRADIENT):
                seen = windows(gradient, weight, (1, 1), (0, 0), ctx.dilation)
                dweight = _transposed_weight(correlate(x, seen), groups)
            elif own:
                out, inputs, *kernel = weight.shape
                like = weight.new_empty(groups * inputs, out // groups, *kernel)  # for its shape
                swapped = _derive(x, gradient, like, (0, 0), ctx.dilation, groups, image=False)
                dweight = _transposed_weight(swapped, groups)
        dx, dweight = (None if t is None else t.to(dtype) for t in (dx, dweight))
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
    """Return the gradient of a convolution with respect to its image or its weight."""
    found = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, (1, 1), padding, dilation, False, (0, 0), groups,
        [image, not image, False],
    )  # fmt: skip
    result: Tensor = found[0 if image else 1]
    return result


def _transposed_weight(swapped: Tensor, groups: int) -> Tensor:
    """Swap inputs and outputs and flip the kernel: (in, out / groups, kh, kw) -> weight layout.

    One matrix per tap: torch transposes those many times faster than four dimensions at once.
    """
    inputs, out, kh, kw = swapped.shape
    taps = swapped.permute(2, 3, 0, 1).reshape(kh * kw, groups, inputs // groups, out)
    found = taps.new_empty(kh * kw, groups, out, inputs // groups)
    for tap, group in product(range(kh * kw), range(groups)):
        found[tap, group].copy_(taps[-1 - tap, group].T)
    return found.view(kh, kw, groups * out, inputs // groups).permute(2, 3, 0, 1)
