"""Filtering the planes of a feature map by a real gain, V(f) on the grid of frequencies.

    z = irfft2(rfft2(y) * V),    then the rows and columns that are wanted.

On small planes the transform is two matrix products with the real orthonormal Fourier basis F
(rows: cosines, then sines), which needs no complex numbers and no other memory layout than
channels_last. There the filter is, with Y = F1 y F2^T,

    Y'  =  V_even * Y  +  V_odd * (Y with cosines and sines exchanged on both axes),
    V_even = (V(f1, f2) + V(-f1, f2)) / 2,    V_odd = +-(V(-f1, f2) - V(f1, f2)) / 2,

since cos(a + b) = cos a cos b - sin a sin b, and so on; V_odd has the sign - where just one of the
two factors is a sine. The basis is ordered so that the exchange is a reversal of both axes. Of the
products that lead back only the wanted rows are computed. The filter is its own adjoint, and V is
no variable: the backward pass is the same filter, and nothing of the forward pass is kept.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

LARGEST_PRODUCT = 64
"""Side of a plane from which the FFT is faster than matrix products."""


@dataclass(frozen=True)
class PlaneGain:
    """A gain, prepared for planes of one size.

    Attributes:
        gain: (C, N1, N2 // 2 + 1), real, the half grid of ``rfft2``.
        size: N1 and N2.
        even: V_even in the order of the basis, (N1, N2, C); None where the FFT is taken.
        odd: V_odd likewise.
    """

    gain: Tensor
    size: tuple[int, int]
    even: Tensor | None
    odd: Tensor | None


def plane_gain(gain: Tensor, size: tuple[int, int]) -> PlaneGain:
    """Prepare a gain (C, N1, N2 // 2 + 1), once for any number of filterings.

    A gain that needs a gradient gets it through the FFT.
    """
    if gain.requires_grad or max(size) > LARGEST_PRODUCT:
        return PlaneGain(gain, size, None, None)
    return PlaneGain(gain, size, *_parts(gain, size))


def filter_planes(y: Tensor, gain: PlaneGain, rows: range, columns: range) -> Tensor:
    """Filter each plane and keep the given rows and columns.

    Computed in float32 or better, whatever ``torch.autocast`` says.

    Args:
        y: (B, C, N1, N2).
        gain: prepared for C channels and N1 x N2 frequencies.
        rows: which rows are wanted, within [0, N1).
        columns: which columns are wanted, within [0, N2).

    Returns:
        (B, C, len(rows), len(columns)), float32 or float64.
    """
    with torch.autocast(y.device.type, enabled=False):
        y = y.to(torch.promote_types(y.dtype, torch.float32))
        if gain.even is None or gain.odd is None:
            z = torch.fft.irfft2(torch.fft.rfft2(y) * gain.gain.to(y.dtype), s=gain.size)
            return z[..., _slice(rows), _slice(columns)]
        into = [_basis(n, range(n), y.dtype, y.device) for n in gain.size]
        back = [
            _basis(n, kept, y.dtype, y.device)
            for n, kept in zip(gain.size, (rows, columns), strict=True)
        ]
        parts = gain.even.to(y.dtype), gain.odd.to(y.dtype)
        filtered: Tensor = _Sandwich.apply(y, *parts, *into, *back)
        return filtered


class _Sandwich(torch.autograd.Function):
    """(B, C, N1, N2) -> (B, C, m1, m2): into the basis, multiply, and back."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, *constants: Tensor) -> Tensor:
        ctx.save_for_backward(*constants)
        u, back1 = _all_but_last(y, *constants), constants[-2]
        # Written into a tensor of its own, not returned as a view: what follows may change it in
        # place, as activations do, and autograd forbids that for a view made in here.
        batch, _, m2, channels = u.shape
        size = (batch, channels, back1.shape[1], m2)
        z = torch.empty(size, dtype=y.dtype, device=y.device, memory_format=torch.channels_last)
        flat = z.permute(0, 2, 3, 1).view(batch, size[2], m2 * channels)
        torch.matmul(back1.T, u.view(batch, -1, m2 * channels), out=flat)
        return z

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        even, odd, into1, into2, back1, back2 = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            u = _all_but_last(grad, even, odd, back1, back2, into1, into2)
            batch, _, n2, channels = u.shape
            z = into1.T @ u.view(batch, -1, n2 * channels)
            z = z.view(batch, -1, n2, channels).permute(0, 3, 1, 2)
            return z, *[None] * 6


def _all_but_last(
    y: Tensor,
    even: Tensor,
    odd: Tensor,
    into1: Tensor,
    into2: Tensor,
    back1: Tensor,
    back2: Tensor,
) -> Tensor:
    """Return (B, N1, m2, C): everything but the product with ``back1`` over the rows."""
    batch, channels, p1, p2 = y.shape
    n1, n2, m2 = len(into1), len(into2), back2.shape[1]
    t = into1 @ y.permute(0, 2, 3, 1).reshape(batch, p1, p2 * channels)
    t = (into2 @ t.view(batch * n1, p2, channels)).view(batch, n1, n2, channels)
    w = torch.addcmul(t * even, t.flip((1, 2)), odd)
    u = back2.T @ w.view(batch * n1, n2, channels)
    return u.view(batch, n1, m2, channels)


def _parts(gain: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return V_even and V_odd in the order of the basis, (N1, N2, C) each."""
    f1, f2 = (_frequencies(n).to(gain.device) for n in size)
    there = gain[:, f1][:, :, f2]
    mirrored = gain[:, (-f1) % size[0]][:, :, f2]
    s1, s2 = (_signs(n).to(gain) for n in size)
    even = (there + mirrored) / 2
    odd = (mirrored - there) / 2 * (s1[:, None] * s2)
    return even.permute(1, 2, 0).contiguous(), odd.permute(1, 2, 0).contiguous()


@lru_cache(maxsize=256)
def _basis(n: int, kept: range, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the columns ``kept`` of the real Fourier basis, (n, len(kept)).

    Rows: cosines of falling frequency, the constant, the alternating one where n is even, sines
    of rising frequency.
    """
    with torch.inference_mode(False):
        frequencies = torch.arange(1, (n + 1) // 2)
        position = torch.tensor(list(kept))
        angle = 2 * math.pi * ((frequencies[:, None] * position) % n).double() / n
        rows = [angle.cos().flip(0) * math.sqrt(2), torch.ones(1, len(kept), dtype=torch.float64)]
        if n % 2 == 0:
            rows.append(1 - 2 * (position % 2).double()[None])
        rows.append(angle.sin() * math.sqrt(2))
        return (torch.cat(rows) / math.sqrt(n)).to(device=device, dtype=dtype)


@lru_cache(maxsize=256)
def _frequencies(n: int) -> Tensor:
    with torch.inference_mode(False):
        rising = torch.arange(1, (n + 1) // 2)
        middle = torch.tensor([0, n // 2] if n % 2 == 0 else [0])
        return torch.cat([rising.flip(0), middle, rising])


@lru_cache(maxsize=256)
def _signs(n: int) -> Tensor:
    """Return -1 for sines, 1 for the others."""
    with torch.inference_mode(False):
        sines = (n - 1) // 2
        return torch.cat([torch.ones(n - sines), -torch.ones(sines)])


def _slice(kept: range) -> slice:
    return slice(kept.start, kept.stop, kept.step)
