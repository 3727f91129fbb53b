"""Filtering the planes of a feature map by a real gain, V(f) on the grid of frequencies.

    z = irfft2(rfft2(y) * V),    then the requested rows and columns.

On small planes the transform is two real matrix products in each direction, in channels_last: first
over the rows, to the real and imaginary parts of the frequencies f1 <= N1 / 2, which are stored
next to each other,

    re = sum_h cos(2 pi f1 h / N1) y_h,    im = -sum_h sin(2 pi f1 h / N1) y_h,

then over the columns to all f2, where (re, im) is multiplied by the complex matrix written as a
real one. There the filter is one in-place multiplication, since V(f) is real and V(-f) = V(f).
The inverse transform computes only the requested rows and columns. V is a constant, so the
backward pass is the same chain with the matrices transposed, and nothing of the forward pass is
saved for it.

On a GPU in half precision, see ``whole_planes``.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from robench.kernels.circle import circle
from robench.kernels.whole_planes import filter_whole, multiplies_whole

LARGEST_PRODUCT = 64
"""Side of a plane up to which matrix products are used; beyond it the FFT is faster."""

PART = 2**18
"""Elements in the frequency domain that a CPU computes at a time: a megabyte of float32."""


@dataclass(frozen=True)
class PlaneGain:
    """A gain prepared for planes of one size.

    Attributes:
        gain: (C, N1, N2 // 2 + 1), real, the half grid of ``rfft2``.
        size: N1 and N2.
        upper: the same on the other half grid, (N1 // 2 + 1, 1, N2, C), channels last; None if
            the FFT is used.
    """

    gain: Tensor
    size: tuple[int, int]
    upper: Tensor | None


def plane_gain(gain: Tensor, size: tuple[int, int]) -> PlaneGain:
    """Prepare a gain (C, N1, N2 // 2 + 1) once for any number of filterings.

    For a gain that requires a gradient, the FFT is used.
    """
    if gain.requires_grad or max(size) > LARGEST_PRODUCT:
        return PlaneGain(gain, size, None)
    return PlaneGain(gain, size, _upper(gain, size))


def filter_planes(y: Tensor, gain: PlaneGain, rows: range, columns: range) -> Tensor:
    """Filter each plane and return the given rows and columns.

    Computed in float32 or higher regardless of ``torch.autocast``, except for planes in half
    precision on a GPU; the result has y's dtype.

    Args:
        y: (B, C, N1, N2).
        gain: the gain, prepared for C channels and N1 x N2 frequencies.
        rows: the rows to return, within [0, N1).
        columns: the columns to return, within [0, N2).

    Returns:
        (B, C, len(rows), len(columns)).
    """
    dtype = torch.promote_types(y.dtype, torch.float32)
    if not len(y):
        return y[..., _slice(rows), _slice(columns)]
    with torch.autocast(y.device.type, enabled=False):
        if gain.upper is None:
            spectrum = torch.fft.rfft2(y.to(dtype)) * gain.gain.to(dtype)
            z = torch.fft.irfft2(spectrum, s=gain.size)
            return z[..., _slice(rows), _slice(columns)].to(y.dtype)
        if multiplies_whole(y):
            return filter_whole(y, gain.upper, gain.size, rows, columns)
        chain = _matrices(gain.size, rows, columns, dtype, y.device)
        filtered: Tensor = _Chain.apply(y, gain.upper.to(dtype), *chain)
        return filtered


class _Chain(torch.autograd.Function):
    """(B, C, N1, N2) -> (B, C, m1, m2): transform, multiply by the gain, transform back."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, gain: Tensor, *matrices: Tensor) -> Tensor:
        ctx.save_for_backward(gain, *matrices)
        return _chained(y, gain, *matrices)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gain, *matrices = ctx.saved_tensors
        adjoint = [matrix.T for matrix in reversed(matrices)]
        with torch.autocast(grad.device.type, enabled=False):
            # The map is linear, so higher-order gradients use the same chain.
            chain = _Chain.apply if torch.is_grad_enabled() else _chained
            return chain(grad, gain, *adjoint), *[None] * 5


def _chained(
    y: Tensor, gain: Tensor, into1: Tensor, into2: Tensor, back2: Tensor, back1: Tensor
) -> Tensor:
    """Filter the batch, on a CPU part by part: this takes less memory and stays in the cache.

    The result is a new tensor, not a view: subsequent layers such as activations may modify it in
    place, which autograd forbids for a view created in a custom function.
    """
    batch, channels = y.shape[:2]
    half, _, n2, _ = gain.shape
    size = (batch, channels, len(back1), len(back2) // 2)
    z = torch.empty(size, dtype=y.dtype, device=y.device, memory_format=torch.channels_last)
    images, found = y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1)
    part = _images_at_a_time(2 * half * n2 * channels) if y.device.type == "cpu" else batch
    work: _Work | None = None
    for source, target in zip(images.split(part), found.split(part), strict=True):
        if work is None or work.images != len(source):
            work = _Work(source, target, gain, into1, into2, back2, back1)
        work(source, target)
    return z


def _images_at_a_time(frequencies: int) -> int:
    """Return a power of two, so that threads share the products and batches split evenly."""
    return 1 << math.ceil(math.log2(max(1, PART / frequencies)))


class _Work:
    """The products for some images, in buffers that are reused for every part of the batch."""

    def __init__(self, source: Tensor, target: Tensor, gain: Tensor, *matrices: Tensor) -> None:
        self.images, p1, p2, channels = source.shape
        half, _, n2, _ = gain.shape
        m1, m2 = target.shape[1:3]
        count, columns = self.images, self.images * half
        sizes = [
            (count, p1, p2 * channels),
            (count, 2 * half, p2 * channels),
            (columns, 2 * n2, channels),
            (columns, 2 * m2, channels),
            (count, m1, m2 * channels),
        ]
        # Each product reads from one of two buffers and writes to the other.
        largest = max(map(math.prod, sizes))
        buffers = (gain.new_empty(largest), gain.new_empty(largest))
        self.source, self.rows, self.columns, self.back, self.target = (
            buffers[at % 2][: math.prod(size)].view(size) for at, size in enumerate(sizes)
        )
        self.gain, batches = gain, (count, columns, columns, count)
        self.matrices = [
            matrix.expand(batch, -1, -1) for matrix, batch in zip(matrices, batches, strict=True)
        ]

    def __call__(self, source: Tensor, target: Tensor) -> None:
        """Filter (images, p1, p2, C) into (images, m1, m2, C), of any dtype."""
        into1, into2, back2, back1 = self.matrices
        half, _, n2, channels = self.gain.shape
        planes = source.reshape(self.source.shape)
        if planes.dtype != self.gain.dtype:
            planes = self.source.copy_(planes)
        torch.bmm(into1, planes, out=self.rows)
        torch.bmm(into2, self.rows.view(len(into2), -1, channels), out=self.columns)
        self.columns.view(-1, half, 2, n2, channels).mul_(self.gain)
        torch.bmm(back2, self.columns, out=self.back)
        back = self.back.view(len(back1), 2 * half, -1)
        if target.dtype == self.gain.dtype:
            torch.bmm(back1, back, out=target.view(self.target.shape))
        else:
            target.view(self.target.shape).copy_(torch.bmm(back1, back, out=self.target))


def _upper(gain: Tensor, size: tuple[int, int]) -> Tensor:
    """Return V(f1, f2) for f1 <= N1 / 2 and all f2, from f2 <= N2 / 2 and all f1."""
    half = size[0] // 2 + 1
    whole = gain.flatten(1).index_select(1, _mirrored(size, gain.device))
    return whole.T.contiguous().view(half, 1, size[1], len(gain))


@lru_cache(maxsize=64)
def _mirrored(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return where on the half grid of ``rfft2`` each V(f1, f2) with f1 <= N1 / 2 is found."""
    with torch.inference_mode(False):
        f1, f2 = torch.arange(size[0] // 2 + 1)[:, None], torch.arange(size[1])
        half = size[1] // 2 + 1
        beyond = f2 >= half
        rows = torch.where(beyond, -f1 % size[0], f1)
        columns = torch.where(beyond, size[1] - f2, f2)
        return (rows * half + columns).flatten().to(device)


@lru_cache(maxsize=128)
def _matrices(
    size: tuple[int, int], rows: range, columns: range, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four factors: rows in, columns in, columns back, rows back.

    With H = N1 // 2 + 1: (2H, N1), (2 N2, 2 N2), (2 len(columns), 2 N2), (len(rows), 2H). In the
    first and the last, (re, im) alternate; in the middle ones, all re come before all im.
    """
    with torch.inference_mode(False):
        half, (n1, n2) = size[0] // 2 + 1, size
        cos1, sin1 = circle(range(half), range(n1), n1)
        into1 = torch.stack([cos1, -sin1], 1).flatten(0, 1)
        cos2, sin2 = circle(range(n2), range(n2), n2)
        into2 = torch.cat([torch.cat([cos2, sin2], 1), torch.cat([-sin2, cos2], 1)])
        cos2, sin2 = circle(columns, range(n2), n2)
        back2 = torch.cat([torch.cat([cos2, -sin2], 1), torch.cat([sin2, cos2], 1)])
        # Frequencies between 0 and N1 / 2 also represent their mirror images.
        weights = torch.full((half,), 2.0, dtype=torch.float64)
        weights[0] = 1
        if n1 % 2 == 0:
            weights[-1] = 1
        cos1, sin1 = (weights * table for table in circle(rows, range(half), n1))
        back1 = torch.stack([cos1, -sin1], 2).flatten(1)
        factors = (into1, into2, back2, back1)
        first, second, third, fourth = (m.to(device=device, dtype=dtype) for m in factors)
        return first, second, third, fourth


def _slice(selected: range) -> slice:
    return slice(selected.start, selected.stop, selected.step)
