"""Other convolutions for training on a CPU, where torch's own are slow in bf16, or wrong.

See ``small_maps`` and ``strided_pointwise`` for which cases are slow and what replaces them, and
``strided_pointwise.overruns`` for the one that is wrong.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.kernels import strided_pointwise
from robench.kernels.autocast import autocast_dtype, products_of
from robench.kernels.small_maps import (
    MAX_PIXELS_OF_WEIGHT_GRADIENT,
    correlate,
    flipped_kernel_matrix,
    is_small,
    kernel_matrix,
    multiply,
    reach,
    windows,
)

Pair = tuple[int, int]


@contextmanager
def fast_convolutions(model: nn.Module) -> Iterator[None]:
    """Make the convolutions of ``model`` use the other implementations.

    This affects only those with zero padding and one group, with a bias only those whose weight
    gradient torch gets wrong; the others are unchanged. So are all outside ``torch.autocast`` but
    for the latter. Copies that are made meanwhile keep the other implementations.
    """
    changed = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and _is_plain(module) and not _is_overridden(module)
    ]
    before = [conv.__dict__.get("_conv_forward") for conv in changed]  # within another such block
    for conv in changed:
        conv.__dict__["_conv_forward"] = partial(_conv_forward, conv)
    try:
        yield
    finally:
        for conv, earlier in zip(changed, before, strict=True):
            del conv.__dict__["_conv_forward"]
            if earlier is not None:
                conv.__dict__["_conv_forward"] = earlier


def _is_plain(conv: nn.Conv2d) -> bool:
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str) or conv.groups > 1:
        return False
    geometry: Any = (conv.stride, conv.padding)
    return conv.bias is None or strided_pointwise.applies(conv.weight, *geometry)


def _is_overridden(conv: nn.Conv2d) -> bool:
    return type(conv)._conv_forward is not nn.Conv2d._conv_forward


def _conv_forward(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    half = autocast_dtype(x) == torch.bfloat16
    trains = x.ndim == 4 and weight.requires_grad and torch.is_grad_enabled()
    stride: Any = conv.stride
    padding: Any = conv.padding
    if trains and not half and strided_pointwise.overruns(x, weight, stride, padding):
        return F.conv2d(x[:, :, :: stride[0], :: stride[1]], weight, bias)
    if not trains or not half or bias is not None:
        return nn.Conv2d._conv_forward(conv, x, weight, bias)
    geometry = (conv.stride, conv.padding, conv.dilation)
    y: Tensor = _Conv.apply(x.bfloat16(), weight.bfloat16(), *geometry)
    return y


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, *geometry: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        with torch.autocast("cpu", enabled=False):
            x, weight = products_of(x), products_of(weight)
            if is_small(x) and _fits(x, weight, *geometry):
                # A separate tensor, since subsequent layers may modify it in place.
                return multiply(windows(x, weight, *geometry), kernel_matrix(weight)).clone()
            stride, padding, dilation = geometry
            return F.conv2d(x, weight, None, stride, padding, dilation).bfloat16()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (gradient,), (stride, padding, dilation) = gradients, ctx.geometry
        image, own = ctx.needs_input_grad[:2]
        with torch.autocast("cpu", enabled=False):
            gradient, x, weight = (products_of(t) for t in (gradient, x, weight))
            dx = _image_gradient(gradient, x, weight, *ctx.geometry) if image else None
            dweight = _weight_gradient(gradient, x, weight, *ctx.geometry) if own else None
            left = [image and dx is None, own and dweight is None, False]
            if any(left):
                found = torch.ops.aten.convolution_backward(
                    gradient, x, weight, None, stride, padding, dilation, False, (0, 0), 1, left
                )
                dx = found[0] if left[0] else dx
                dweight = found[1] if left[1] else dweight
        dx, dweight = (None if t is None else t.bfloat16() for t in (dx, dweight))
        return dx, dweight, None, None, None


def _image_gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor | None:
    """Return the gradient if torch's own is slow, else None."""
    if strided_pointwise.applies(weight, stride, padding):
        return strided_pointwise.image_gradient(gradient, x, weight, stride)
    rows, columns = reach(weight, dilation)
    beyond = (rows - padding[0], columns - padding[1])
    if not is_small(x) or stride != (1, 1) or min(beyond) < 0:
        return None
    return multiply(
        windows(gradient, weight, (1, 1), beyond, dilation), flipped_kernel_matrix(weight)
    )


def _weight_gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor | None:
    """Return the gradient if torch's own is slow, else None."""
    if strided_pointwise.applies(weight, stride, padding):
        return strided_pointwise.weight_gradient(gradient, x, stride)
    if not is_small(gradient, MAX_PIXELS_OF_WEIGHT_GRADIENT):
        return None
    return correlate(gradient, windows(x, weight, stride, padding, dilation))


def _fits(x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> bool:
    sides = zip(x.shape[2:], padding, reach(weight, dilation), strict=True)
    return all(n + 2 * p > r for n, p, r in sides)
