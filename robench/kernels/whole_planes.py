"""The filter of whole planes as two products, on a GPU in half precision and for small planes.

    z_b  =  G (V * (F y_b)),

with F from all pixels of a plane to (re, im) of the frequencies f1 <= N1 / 2, and G back to the
requested pixels; y_b is a matrix (pixels, channels). That is ten times the multiplications of a
transform by rows and columns, but matrix units have them to spare, whereas memory is read and
written half as often. Matrices and gain are rounded to half precision as the convolution's weights
are; sums are in float32. In float32 there are no such units (TF32 would round), and it pays off on
small planes: 1,024 images of 256 channels on 10x10 pixels take 0.54 instead of 0.82 ms on an H100,
of 128 on 18x18 1.71 instead of 1.40.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from robench.kernels.circle import circle

SMALL = 144
"""Pixels of a plane up to which this is faster in float32."""


def multiplies_whole(y: Tensor) -> bool:
    """Return whether planes (B, C, N1, N2) are filtered this way."""
    if y.device.type != "cuda":
        return False
    small = y.dtype == torch.float32 and y.shape[2] * y.shape[3] <= SMALL
    return small or y.dtype in (torch.bfloat16, torch.float16)


def filter_whole(
    y: Tensor, upper: Tensor, size: tuple[int, int], rows: range, columns: range
) -> Tensor:
    """Filter each plane and return the given rows and columns, in y's dtype.

    Args:
        y: (B, C, N1, N2).
        upper: the gain on the half grid f1 <= N1 / 2, (N1 // 2 + 1, 1, N2, C).
        size: N1 and N2.
        rows: the rows to return, within [0, N1).
        columns: the columns to return, within [0, N2).

    Returns:
        (B, C, len(rows), len(columns)), in channels_last.
    """
    into, back = _matrices(size, rows, columns, y.dtype, y.device)
    half, _, n2, channels = upper.shape
    gain = upper.to(y.dtype).expand(half, 2, n2, channels).reshape(-1, channels)
    flat = y.permute(0, 2, 3, 1).reshape(len(y), -1, channels)
    z: Tensor = _Products.apply(flat, gain, into, back)
    return z.view(len(y), len(rows), len(columns), channels).permute(0, 3, 1, 2)


class _Products(torch.autograd.Function):
    """(B, P, C) -> (B, M, C): F, the gain (Q, C), and G, given F^T (P, Q) and G (M, Q)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, gain: Tensor, into: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(gain, into, back)
        return _products(y, gain, into, back)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gain, into, back = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            # The map is linear, and its adjoint is the same with the matrices exchanged.
            products = _Products.apply if torch.is_grad_enabled() else _products
            return products(grad, gain, back, into), None, None, None


def _products(y: Tensor, gain: Tensor, into: Tensor, back: Tensor) -> Tensor:
    frequencies = torch.matmul(into.T, y).mul_(gain)
    return torch.matmul(back, frequencies)


@lru_cache(maxsize=64)
def _matrices(
    size: tuple[int, int], rows: range, columns: range, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return F^T (P, Q) and G (M, Q), with Q = 2 (N1 // 2 + 1) N2.

    The frequencies are stored next to each other in both: Q is a multiple of four, often of eight,
    as matrix units want it, which the number of pixels is not.
    """
    with torch.inference_mode(False):
        half, (n1, n2) = size[0] // 2 + 1, size
        into = _waves(size, range(n1), range(n2), torch.ones(half))
        # Frequencies between 0 and N1 / 2 also represent their mirror images.
        weights = torch.tensor([1.0 if 2 * f % n1 == 0 else 2.0 for f in range(half)])
        back = _waves(size, rows, columns, weights)
        return into.to(device=device, dtype=dtype), back.to(device=device, dtype=dtype)


def _waves(size: tuple[int, int], rows: range, columns: range, weights: Tensor) -> Tensor:
    """Return cos and -sin of <f, p> at the pixels p, as (pixels, f1, (re, im), f2), flattened."""
    cos1, sin1 = circle(rows, range(size[0] // 2 + 1), size[0])
    cos2, sin2 = circle(columns, range(size[1]), size[1])

    def outer(one: Tensor, other: Tensor) -> Tensor:
        return torch.einsum("rf,cg,f->rcfg", one, other, weights.double())

    re = outer(cos1, cos2) - outer(sin1, sin2)
    im = -(outer(sin1, cos2) + outer(cos1, sin2))
    return torch.stack([re, im], 3).flatten(2).flatten(0, 1)
