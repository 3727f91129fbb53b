"""A full convolution fused with the filter after it, in the frequency domain.

The filter transforms the planes to the frequency domain anyway, and there a convolution is one
product per frequency, summed over the input channels: matrices (B, in) x (in, out) for each of the
about 1.5 N1 N2 real products of ``fourier_plan``, where the convolution has k1 k2 N1 N2. So the
image is transformed instead of the convolution's result, and the inverse transform is that of the
filter. The gradients of image and weight are two matrix products of the same kind. Only image and
weight are saved for them; one f1 is computed at a time, so that it stays in the cache.
"""

from typing import Any

import torch
from torch import Tensor

from robench.kernels.fourier_plan import FourierPlan, Part, fourier_plan
from robench.kernels.full_conv import full_conv
from robench.kernels.plane_filter import PlaneGain, filter_planes

Pair = tuple[int, int]

MIN_BATCH = 16
"""Smallest batch for which transforming the weight, once per batch, pays off."""

KERNELS = 3 * 2**18
"""Elements of transformed weights held at a time, a few megabytes."""

FEW_ROWS = 12
"""Rows of (re, im) up to which those of a plane are computed one f1 at a time."""


def filtered_conv(
    x: Tensor,
    weight: Tensor,
    gain: PlaneGain,
    dilation: Pair,
    groups: int,
    rows: range,
    columns: range,
) -> Tensor:
    """Return the full convolution, filtered and cropped; by frequencies if that is less work.

    Args:
        x: (B, in, n1, n2).
        weight: (out, in / groups, k1, k2).
        gain: the gain, prepared for ``out`` channels and N1 x N2 frequencies, with
            N = n + d (k - 1).
        dilation: d of rows and columns.
        groups: number of groups of channels.
        rows: the rows to return, within [0, N1).
        columns: the columns to return, within [0, N2).

    Returns:
        (B, out, len(rows), len(columns)), in the dtype that ``torch.autocast`` selects.
    """
    if groups == 1 and _pays(x, weight, gain):
        z: Tensor = _FourierConv.apply(x, weight, gain, dilation, rows, columns)
        return z
    return filter_planes(full_conv(x, weight, dilation, groups), gain, rows, columns)


def _pays(x: Tensor, weight: Tensor, gain: PlaneGain) -> bool:
    """Return whether computing by frequencies is less work.

    In half precision, hardware matrix units favor the convolution itself. The comparison counts
    multiplications per image and pixel; those of the transforms weigh more, since they are small
    and done twice.
    """
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or gain.upper is None:
        return False
    if x.dtype not in (torch.float32, torch.float64) or weight.dtype != x.dtype:
        return False
    out, inputs, k1, k2 = weight.shape
    transform = 2 * (gain.size[0] + 2 * gain.size[1])
    by_frequencies = 1.5 * inputs * out + 1.8 * (inputs + out) * transform
    return len(x) >= MIN_BATCH and by_frequencies < out * (inputs * k1 * k2 + 2 * transform)


class _FourierConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, gain: PlaneGain, *window: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.gain, ctx.window = gain, window
        return _result(x, weight, gain, _plan(x, weight, *window))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        with torch.autocast(x.device.type, enabled=False):
            if torch.is_grad_enabled():  # higher-order gradients use the plain path
                dilation, *window = ctx.window
                # Separate tensors: if the image was itself computed from the weight, the
                # gradient must not continue along that path here.
                x, weight = x.view_as(x), weight.view_as(weight)
                z = filter_planes(full_conv(x, weight, dilation, 1), ctx.gain, *window)
                sources = [leaf for leaf, want in zip((x, weight), wanted, strict=True) if want]
                found = torch.autograd.grad(z, sources, gradients, create_graph=True)
                dx, dweight = found[0] if wanted[0] else None, found[-1] if wanted[1] else None
            else:
                plan = _plan(x, weight, *ctx.window)
                dx, dweight = _gradients(gradients[0], x, weight, ctx.gain, plan, *wanted)
        return dx, dweight, *[None] * 4


def _plan(x: Tensor, weight: Tensor, dilation: Pair, rows: range, columns: range) -> FourierPlan:
    image, kernel = (x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3])
    return fourier_plan(image, kernel, dilation, rows, columns, x.dtype, x.device)


def _result(x: Tensor, weight: Tensor, gain: PlaneGain, plan: FourierPlan) -> Tensor:
    taps, images = _taps(weight), _Rows(plan.into, x)
    found = _empty_rows(plan.back.T, taps, len(x), plan.columns, len(weight))
    for f1, part in enumerate(plan.parts):
        factors = _to_products(part.into, images.of(f1))
        products = factors.new_empty(*factors.shape[:2], len(weight))
        for some in _shares(part, weight):
            kernels = _tables(part, gain, f1, some) @ taps
            torch.bmm(factors[some], kernels.permute(1, 2, 0), out=products[some])
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
    """Return the gradients of the image and of the weight, each only if requested."""
    taps = _taps(weight)
    upstream, images = _Rows(plan.back.T, gradient), _Rows(plan.into, x) if own else None
    found = _empty_rows(plan.into, taps, len(x), x.shape[3], x.shape[1]) if image else None
    dtaps = torch.zeros_like(taps)
    for f1, part in enumerate(plan.parts):
        products = _to_products(part.back.T, upstream.of(f1))
        if images is not None:
            factors = _to_products(part.into, images.of(f1))
            for some in _shares(part, weight):
                kernels = products[some].transpose(1, 2) @ factors[some]
                tables = _tables(part, gain, f1, some)
                dtaps.baddbmm_(tables.transpose(1, 2), kernels.transpose(0, 1))
            del factors, kernels
        if found is not None:
            dfactors = products.new_empty(*products.shape[:2], x.shape[1])
            for some in _shares(part, weight):
                kernels = _tables(part, gain, f1, some) @ taps
                torch.bmm(products[some], kernels.transpose(0, 1), out=dfactors[some])
            del kernels
            _to_columns(part.into.T, dfactors, found, f1)
    dx = None if found is None else _to_planes(plan.into.T, found)
    out, inputs, k1, k2 = weight.shape
    dweight = dtaps.view(out, k1, k2, inputs).permute(0, 3, 1, 2)
    return dx, dweight if own else None


def _taps(weight: Tensor) -> Tensor:
    """Return the weight as (out, k1 k2, in)."""
    return weight.permute(0, 2, 3, 1).flatten(1, 2)


def _shares(part: Part, weight: Tensor) -> list[slice]:
    """Return the slices of products that are computed at a time."""
    size = max(1, KERNELS // weight[:, :, 0, 0].numel())
    return [slice(start, start + size) for start in range(0, len(part.kernel), size)]


def _tables(part: Part, gain: PlaneGain, f1: int, some: slice) -> Tensor:
    """Return the matrices from taps to the kernel factors of some products, times the gain.

    Their shape is (out, p, k1 k2); they are multiplied with :func:`_taps`.
    """
    assert gain.upper is not None
    gains = gain.upper[f1, 0].index_select(0, part.frequencies[some]).to(part.kernel.dtype)
    return gains.T.unsqueeze(2) * part.kernel[some]


class _Rows:
    """Row transform (2 H, h) x (B, C, h, w): all at once, or one f1 at a time on small planes."""

    def __init__(self, matrix: Tensor, planes: Tensor) -> None:
        batch, self.channels, height, self.width = planes.shape
        flat = planes.permute(0, 2, 3, 1).reshape(batch, height, self.width * self.channels)
        self.matrix, self.flat = matrix, flat
        self.rows = None if len(matrix) <= FEW_ROWS else self._times(matrix)

    def of(self, f1: int) -> Tensor:
        """Return the rows of one f1, (B, 2, w, C)."""
        pair = slice(2 * f1, 2 * f1 + 2)
        return self._times(self.matrix[pair]) if self.rows is None else self.rows[:, pair]

    def _times(self, matrix: Tensor) -> Tensor:
        rows = torch.bmm(matrix.expand(len(self.flat), -1, -1), self.flat)
        return rows.view(len(rows), -1, self.width, self.channels)


def _to_products(matrix: Tensor, rows: Tensor) -> Tensor:
    """Multiply (p, 2 w) x (B, 2, w, C) -> (p, B, C)."""
    return torch.bmm(matrix.expand(len(rows), -1, -1), rows.flatten(1, 2)).transpose(0, 1)


def _empty_rows(matrix: Tensor, like: Tensor, batch: int, width: int, channels: int) -> Tensor:
    """Return an uninitialized tensor (2 H, B, w, C)."""
    return like.new_empty(len(matrix), batch, width, channels)


def _to_columns(matrix: Tensor, products: Tensor, rows: Tensor, f1: int) -> None:
    """Multiply (2 w, p) x (p, B, C) into one f1 of (2 H, B, w, C)."""
    by_image = products.transpose(0, 1)
    for part, target in zip(matrix.chunk(2), rows[2 * f1 : 2 * f1 + 2], strict=True):
        torch.bmm(part.expand(len(by_image), -1, -1), by_image, out=target)


def _to_planes(matrix: Tensor, rows: Tensor) -> Tensor:
    """Multiply (h, 2 H) x (2 H, B, w, C) -> (B, C, h, w) in channels_last.

    Returns a new tensor, not a view: subsequent layers such as activations may modify it in place.
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
