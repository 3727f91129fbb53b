"""The matrices of a convolution and its filter in the frequency domain, with few real products.

A real plane has a complex spectrum with X(-f) = X(f)*, so the frequencies (f1, f2) with
f1 <= N1 / 2 suffice, and in the rows f1 = 0 and f1 = N1 / 2 those with f2 <= N2 / 2. The complex
product of an image's and a kernel's spectrum is three real ones (Gauss),

    p1 = (a + b) c,    p2 = a (d - c),    p3 = b (c + d),
    (a + ib) (c + id)  =  (p1 - p3) + i (p1 + p2),

and a single one if the spectrum is real. All sums on either side of the products are part of the
transforms, which are matrices: from the image to its factors, from the taps of the kernel to its
factors, and from the products back to the requested pixels. There are about 1.5 N1 N2 products,
whereas the convolution itself has k1 k2 N1 N2.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from robench.kernels.circle import circle

Pair = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """The products of one f1, and the column matrices that belong to it.

    Attributes:
        into: (p, 2 n2), from (re, im) of the columns of an image to the factors of p products.
        kernel: (p, k1 k2), from the taps of a kernel to the other factors.
        back: (2 m2, p), from the products to (re, im) of the requested columns.
        frequencies: f2 of each product, (p,).
    """

    into: Tensor
    kernel: Tensor
    back: Tensor
    frequencies: Tensor


@dataclass(frozen=True)
class FourierPlan:
    """How planes of one size are convolved, filtered and cropped.

    Attributes:
        into: (2 H, n1), from the rows of an image to (re, im) of each f1, with H = N1 // 2 + 1.
        parts: one per f1, H of them.
        back: (m1, 2 H), from these to the requested rows.
        columns: number of requested columns, m2.
    """

    into: Tensor
    parts: tuple[Part, ...]
    back: Tensor
    columns: int


@lru_cache(maxsize=64)
def fourier_plan(
    image: Pair,
    kernel: Pair,
    dilation: Pair,
    rows: range,
    columns: range,
    dtype: torch.dtype,
    device: torch.device,
) -> FourierPlan:
    """Return the plan of a full convolution.

    Args:
        image: n1 and n2.
        kernel: k1 and k2.
        dilation: d1 and d2; the grid has N = n + d (k - 1) pixels per side.
        rows: the requested rows of the grid, m1 of them.
        columns: the requested columns of the grid, m2 of them.
        dtype: dtype of the matrices.
        device: device of the matrices.
    """
    n1, n2 = (n + d * (k - 1) for n, k, d in zip(image, kernel, dilation, strict=True))
    half = n1 // 2 + 1

    def put(matrix: Tensor) -> Tensor:
        return matrix.to(device=device, dtype=dtype).contiguous()

    with torch.inference_mode(False):
        cos, sin = circle(range(half), range(image[0]), n1)
        into = torch.stack([cos, -sin], 1).flatten(0, 1)
        # Frequencies between 0 and N1 / 2 also represent their mirror images.
        weights = torch.tensor([1.0 if _is_edge(f, n1) else 2.0 for f in range(half)])
        cos, sin = (table * weights for table in circle(rows, range(half), n1))
        back = torch.stack([cos, -sin], 2).flatten(1)
        sides = {edge: _columns(image[1], n2, columns, edge) for edge in (True, False)}
        sides = {edge: (put(a), put(b), f.to(device)) for edge, (a, b, f) in sides.items()}
        parts = []
        for f1 in range(half):
            edge = _is_edge(f1, n1)
            factors = put(_kernel(f1, (n1, n2), kernel, dilation, edge))
            parts.append(Part(sides[edge][0], factors, *sides[edge][1:]))
        return FourierPlan(put(into), tuple(parts), put(back), len(columns))


def _columns(n: int, n2: int, requested: range, edge: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices (p, 2 n) and (2 m, p) of the columns, and f2 of each product."""
    f2, is_real = _frequencies(n2, edge)
    cos, sin = circle(f2, range(n), n2)
    into = _factors(torch.cat([cos, sin], 1), torch.cat([-sin, cos], 1), is_real)
    cos, sin = (table.T for table in circle(f2, requested, n2))
    if edge:  # the column is that of a real plane: its imaginary part is zero
        cos, sin = (table * torch.where(is_real, 1.0, 2.0) for table in (cos, sin))
        nothing = torch.zeros_like(cos)
        of_re, of_im = torch.cat([cos, nothing]), torch.cat([-sin, nothing])
    else:
        of_re, of_im = torch.cat([cos, sin]), torch.cat([-sin, cos])
    complex_ = ~is_real
    back = [
        (of_re + of_im)[:, complex_],
        of_im[:, complex_],
        -of_re[:, complex_],
        of_re[:, is_real],
    ]
    indices = torch.tensor(f2)
    return into, torch.cat(back, 1), torch.cat([*[indices[complex_]] * 3, indices[is_real]])


def _kernel(f1: int, size: Pair, kernel: Pair, dilation: Pair, edge: bool) -> Tensor:
    """Return the matrix (p, k1 k2) from taps to factors.

    torch's convolution is a correlation, y[q] = sum over t of w[t] x[q - d (k - 1 - t)].
    """
    f2, is_real = _frequencies(size[1], edge)
    turns = []
    for f, n, k, d in zip(([f1], f2), size, kernel, dilation, strict=True):
        phase = torch.outer(torch.tensor(f), d * torch.arange(k).flip(0)) % n
        turns.append(phase.double() / n)
    phase = 2 * math.pi * (turns[0][:, :, None] + turns[1][:, None, :]).flatten(1)
    re, im = phase.cos(), -phase.sin()
    complex_ = ~is_real
    factors = [re[complex_], (im - re)[complex_], (re + im)[complex_], re[is_real]]
    return torch.cat(factors)


def _factors(re: Tensor, im: Tensor, is_real: Tensor) -> Tensor:
    complex_ = ~is_real
    return torch.cat([(re + im)[complex_], re[complex_], im[complex_], re[is_real]])


def _frequencies(n2: int, edge: bool) -> tuple[list[int], Tensor]:
    """Return the f2 that are computed, and a mask of those at which the spectrum is real."""
    f2 = list(range(n2 // 2 + 1 if edge else n2))
    return f2, torch.tensor([edge and _is_edge(f, n2) for f in f2])


def _is_edge(f: int, n: int) -> bool:
    """Return whether a frequency is its own mirror image."""
    return 2 * f % n == 0
