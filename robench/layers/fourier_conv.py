"""A full convolution and the filter after it in one, in the frequency domain.

The filter takes the planes into the frequencies anyway, and there a convolution is a product a
frequency, summed over the input channels: matrices (B, in) x (in, out) for each of the about
1.5 N1 N2 real products of ``fourier_plan``, where the convolution has k1 k2 N1 N2. So the image is
transformed instead of the convolution's result, and the way back is the filter's. The gradients of
image and weight are two matrix products of the same kind. Nothing but image and weight is kept for
them; what belongs to one f1 is computed at a time, and stays in the cache.
"""

from typing import Any

import torch
from torch import Tensor

from robench.layers.fourier_plan import FourierPlan, Part, fourier_plan
from robench.layers.full_conv import full_conv
from robench.layers.plane_filter import PlaneGain, filter_planes

Pair = tuple[int, int]

LEAST_BATCH = 16
"""Images from which it pays to transform the weight, once a batch."""

HALF_PRECISION = 6
"""How many times as fast a convolution is in half precision, which has matrix units for it."""


def filtered_conv(
    x: Tensor,
    weight: Tensor,
    gain: PlaneGain,
    dilation: Pair,
    groups: int,
    rows: range,
    columns: range,
) -> Tensor:
    """Return the full convolution, filtered and cut; by frequencies where that is less work.

    Args:
        x: (B, in, n1, n2).
        weight: (out, in / groups, k1, k2).
        gain: prepared for ``out`` channels and N1 x N2 frequencies, with N = n + d (k - 1).
        dilation: d of rows and columns.
        groups: of channels.
        rows: which rows are wanted, within [0, N1).
        columns: which columns are wanted, within [0, N2).

    Returns:
        (B, out, len(rows), len(columns)), in the dtype that ``torch.autocast`` asks for.
    """
    dtype = _result_dtype(x, weight)
    if groups == 1 and dtype is not None and _pays(x, weight, gain, dtype):
        z: Tensor = _FourierConv.apply(x, weight, gain, dtype, dilation, rows, columns)
        return z
    return filter_planes(full_conv(x, weight, dilation, groups), gain, rows, columns)


def _result_dtype(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return what a convolution results in; None where it is torch's to refuse it."""
    if torch.is_autocast_enabled(x.device.type) and torch.float64 not in (x.dtype, weight.dtype):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype if x.dtype == weight.dtype else None


def _pays(x: Tensor, weight: Tensor, gain: PlaneGain, dtype: torch.dtype) -> bool:
    """Return whether the way by frequencies, in float32 or better, is the shorter one.

    Compared are multiplications an image and pixel; those of transforms count more, since they are
    small and done twice.
    """
    if x.device.type != "cpu" or len(x) < LEAST_BATCH or gain.upper is None:
        return False
    out, inputs, k1, k2 = weight.shape
    transform = 2 * (gain.size[0] + 2 * gain.size[1])
    products, taps, again = 1.5 * inputs * out, float(k1 * k2), 1.25
    if dtype.itemsize == 2:
        taps, again = taps / HALF_PRECISION, 1.5
    return products + again * (inputs + out) * transform < out * (inputs * taps + 2 * transform)


class _FourierConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gain: PlaneGain, dtype: torch.dtype, *window: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.gain, ctx.dtype, ctx.window = gain, dtype, window
        plan = _plan(x, weight, dtype, *window)
        with torch.autocast(x.device.type, enabled=False):
            return _result(x, weight, gain, plan).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        with torch.autocast(x.device.type, enabled=False):
            if torch.is_grad_enabled():  # a gradient of this gradient goes the long way
                dilation, *window = ctx.window
                y = full_conv(x.to(ctx.dtype), weight.to(ctx.dtype), dilation, 1)
                z = filter_planes(y, ctx.gain, *window)
                sources = [leaf for leaf, want in zip((x, weight), wanted, strict=True) if want]
                found = torch.autograd.grad(z, sources, gradients, create_graph=True)
                dx, dweight = found[0] if wanted[0] else None, found[-1] if wanted[1] else None
            else:
                plan = _plan(x, weight, ctx.dtype, *ctx.window)
                dx, dweight = _gradients(gradients[0], x, weight, ctx.gain, plan, *wanted)
        return dx, dweight, *[None] * 5


def _plan(
    x: Tensor, weight: Tensor, dtype: torch.dtype, dilation: Pair, rows: range, columns: range
) -> FourierPlan:
    image, kernel = (x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3])
    exact = torch.promote_types(dtype, torch.float32)
    return fourier_plan(image, kernel, dilation, rows, columns, exact, x.device)


def _result(x: Tensor, weight: Tensor, gain: PlaneGain, plan: FourierPlan) -> Tensor:
    """Return the filtered convolution in the plan's dtype."""
    taps, images = _taps(weight, plan), _to_rows(plan.into, x)
    found = _no_rows(plan.back.T, images, plan.columns, len(weight))
    for f1, part in enumerate(plan.parts):
        factors = _to_products(part.into, images, f1)
        products = factors @ _kernels(part, taps, weight).transpose(1, 2)
        products.mul_(_gains(gain, f1, part))
        _to_columns(part.back, products, found, f1)
    return _to_planes(plan.back, found)


def _gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    gain: PlaneGain,
    plan: FourierPlan,
    image: bool,
    own: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """Return those of the image and of the weight, where they are wanted."""
    taps, upstream = _taps(weight, plan), _to_rows(plan.back.T, gradient)
    images = _to_rows(plan.into, x) if own else None
    found = _no_rows(plan.into, upstream, x.shape[3], x.shape[1]) if image else None
    dtaps = torch.zeros_like(taps)
    for f1, part in enumerate(plan.parts):
        products = _to_products(part.back.T, upstream, f1)
        products.mul_(_gains(gain, f1, part))
        if images is not None:
            kernels = products.transpose(1, 2) @ _to_products(part.into, images, f1)
            dtaps.addmm_(part.kernel.T, kernels.view(len(kernels), -1))
        if found is not None:
            _to_columns(part.into.T, products @ _kernels(part, taps, weight), found, f1)
    dx = None if found is None else _to_planes(plan.into.T, found).to(x.dtype)
    out, inputs, k1, k2 = weight.shape
    dweight = dtaps.view(k1, k2, out, inputs).permute(2, 3, 0, 1).to(weight.dtype)
    return dx, dweight if own else None


def _taps(weight: Tensor, plan: FourierPlan) -> Tensor:
    """Return (k1 k2, out * in)."""
    return weight.permute(2, 3, 0, 1).reshape(weight[0, 0].numel(), -1).to(plan.into.dtype)


def _kernels(part: Part, taps: Tensor, weight: Tensor) -> Tensor:
    """Return the factors of the kernel, (p, out, in)."""
    return (part.kernel @ taps).view(-1, *weight.shape[:2])


def _gains(gain: PlaneGain, f1: int, part: Part) -> Tensor:
    """Return the gain of each product, (p, 1, out)."""
    assert gain.upper is not None
    gains = gain.upper[f1, 0].index_select(0, part.frequencies)
    return gains.unsqueeze(1).to(part.into.dtype)


def _to_rows(matrix: Tensor, planes: Tensor) -> Tensor:
    """(2 H, h) times (B, C, h, w) -> (B, 2 H, w, C), by rows."""
    batch, channels, height, width = planes.shape
    flat = planes.permute(0, 2, 3, 1).reshape(batch, height, width * channels).to(matrix.dtype)
    return torch.bmm(matrix.expand(batch, -1, -1), flat).view(batch, -1, width, channels)


def _to_products(matrix: Tensor, rows: Tensor, f1: int) -> Tensor:
    """(p, 2 w) times one f1 of (B, 2 H, w, C) -> (p, B, C)."""
    columns = rows[:, 2 * f1 : 2 * f1 + 2].flatten(1, 2)
    return torch.bmm(matrix.expand(len(rows), -1, -1), columns).transpose(0, 1)


def _no_rows(matrix: Tensor, like: Tensor, width: int, channels: int) -> Tensor:
    """Return (2 H, B, w, C), to be filled."""
    return like.new_empty(len(matrix), len(like), width, channels)


def _to_columns(matrix: Tensor, products: Tensor, rows: Tensor, f1: int) -> None:
    """(2 w, p) times (p, B, C), into one f1 of (2 H, B, w, C)."""
    by_image = products.transpose(0, 1)
    for part, target in zip(matrix.chunk(2), rows[2 * f1 : 2 * f1 + 2], strict=True):
        torch.bmm(part.expand(len(by_image), -1, -1), by_image, out=target)


def _to_planes(matrix: Tensor, rows: Tensor) -> Tensor:
    """(h, 2 H) times (2 H, B, w, C) -> (B, C, h, w) in channels_last.

    A tensor of its own, not a view: what follows may change it in place, as activations do.
    """
    _, batch, width, channels = rows.shape
    size = (batch, channels, len(matrix), width)
    planes = torch.empty(
        size, dtype=rows.dtype, device=rows.device, memory_format=torch.channels_last
    )
    by_image = rows.flatten(2).transpose(0, 1)
    target = planes.permute(0, 2, 3, 1).view(batch, len(matrix), width * channels)
    torch.bmm(matrix.expand(batch, -1, -1), by_image, out=target)
    return planes
