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

from robench.kernels.fourier_plan import FourierPlan, Part, fourier_plan
from robench.kernels.full_conv import full_conv
from robench.kernels.plane_filter import PlaneGain, filter_planes

Pair = tuple[int, int]

LEAST_BATCH = 16
"""Images from which it pays to transform the weight, once a batch."""

KERNELS = 3 * 2**18
"""Numbers of transformed weights that there are at a time, some megabytes."""

FEW_ROWS = 12
"""Rows of (re, im) up to which those of a plane are made one f1 at a time."""


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
    if groups == 1 and _pays(x, weight, gain):
        z: Tensor = _FourierConv.apply(x, weight, gain, dilation, rows, columns)
        return z
    return filter_planes(full_conv(x, weight, dilation, groups), gain, rows, columns)


def _pays(x: Tensor, weight: Tensor, gain: PlaneGain) -> bool:
    """Return whether the way by frequencies is the shorter one.

    Half precision has matrix units for the convolution itself. Compared are multiplications an
    image and pixel; those of transforms count more, since they are small and done twice.
    """
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or gain.upper is None:
        return False
    if x.dtype not in (torch.float32, torch.float64) or weight.dtype != x.dtype:
        return False
    out, inputs, k1, k2 = weight.shape
    transform = 2 * (gain.size[0] + 2 * gain.size[1])
    by_frequencies = 1.5 * inputs * out + 1.8 * (inputs + out) * transform
    return len(x) >= LEAST_BATCH and by_frequencies < out * (inputs * k1 * k2 + 2 * transform)


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
            if torch.is_grad_enabled():  # a gradient of this gradient goes the long way
                dilation, *window = ctx.window
                # Of tensors of their own: where the image was made from the weight, too, the
                # gradient must not go on along that path here.
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
    found = _no_rows(plan.back.T, taps, len(x), plan.columns, len(weight))
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
    """Return those of the image and of the weight, where they are wanted."""
    taps = _taps(weight)
    upstream, images = _Rows(plan.back.T, gradient), _Rows(plan.into, x) if own else None
    found = _no_rows(plan.into, taps, len(x), x.shape[3], x.shape[1]) if image else None
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
    """Return (out, k1 k2, in)."""
    return weight.permute(0, 2, 3, 1).flatten(1, 2)


def _shares(part: Part, weight: Tensor) -> list[slice]:
    """Return which products are computed at a time."""
    size = max(1, KERNELS // weight[:, :, 0, 0].numel())
    return [slice(start, start + size) for start in range(0, len(part.kernel), size)]


def _tables(part: Part, gain: PlaneGain, f1: int, some: slice) -> Tensor:
    """Return for some products what makes the other factors of taps, with the gain.

    (out, p, k1 k2), to be multiplied with :func:`_taps`.
    """
    assert gain.upper is not None
    gains = gain.upper[f1, 0].index_select(0, part.frequencies[some]).to(part.kernel.dtype)
    return gains.T.unsqueeze(2) * part.kernel[some]


class _Rows:
    """(2 H, h) times (B, C, h, w), by rows: all at once, or on small planes one f1 at a time."""

    def __init__(self, matrix: Tensor, planes: Tensor) -> None:
        batch, self.channels, height, self.width = planes.shape
        flat = planes.permute(0, 2, 3, 1).reshape(batch, height, self.width * self.channels)
        self.matrix, self.flat = matrix, flat
        self.rows = None if len(matrix) <= FEW_ROWS else self._times(matrix)

    def of(self, f1: int) -> Tensor:
        """Return (B, 2, w, C)."""
        pair = slice(2 * f1, 2 * f1 + 2)
        return self._times(self.matrix[pair]) if self.rows is None else self.rows[:, pair]

    def _times(self, matrix: Tensor) -> Tensor:
        rows = torch.bmm(matrix.expand(len(self.flat), -1, -1), self.flat)
        return rows.view(len(rows), -1, self.width, self.channels)


def _to_products(matrix: Tensor, rows: Tensor) -> Tensor:
    """(p, 2 w) times (B, 2, w, C) -> (p, B, C)."""
    return torch.bmm(matrix.expand(len(rows), -1, -1), rows.flatten(1, 2)).transpose(0, 1)


def _no_rows(matrix: Tensor, like: Tensor, batch: int, width: int, channels: int) -> Tensor:
    """Return (2 H, B, w, C), to be filled."""
    return like.new_empty(len(matrix), batch, width, channels)


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
