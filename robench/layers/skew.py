"""Orthogonal convolution as the exponential of a skew-symmetric one (SOC, arXiv:2105.11417).

With M^T the kernel of the transposed convolution (channels swapped, taps flipped), the kernel

    A = (M - M^T) / 2,    scaled down to norm REACH if its norm may be above

makes a convolution of stride 1 that pads by half its kernel, with zeros or circularly, and whose
matrix is exactly skew-symmetric on any image, borders included. The layer is its Taylor series,

    y = sum_{i <= degree} A^i x / i!,

by that many convolutions. Being a polynomial p of a skew matrix, which is normal, the layer has the
singular values |p(i t)| for real t up to the norm of A. For a degree that is a multiple of four,
|p(i t)|^2 - 1 begins with a negative term, and |p(i t)| stays at 1 or below for t up to 2.82
(degree 4), 3.39 (8) and 3.38 (12): **the truncated series is 1-Lipschitz, not merely nearly so**.
Of the degrees of the authors' code, 5 is above 1 for every t, and 11 from t = 1.70 on. ``REACH`` is
where it is still 0.99.

The norm of A is bounded by sqrt(kh kw) times that of its flattened kernels, as in the paper, but by
Gram iteration, from above. A stride is first unfolded into channels. Missing channels are zeros,
and channels too many are left out at the end. A 1x1 kernel is a matrix, whose exponential is exact.
"""

import math
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base.layer_bound import LayerBound
from robench.errors import UserError
from robench.layers.adopt import adopt
from robench.layers.circular import Size, dilation_of, gram_bound, kernel_of, on_torus, symbol
from robench.layers.foldable import plain_conv
from robench.layers.initial_kernel import initial_kernel
from robench.layers.operator_bound import (
    SLACK,
    STEPS,
    above,
    convolution_bound,
    output_pixels,
    shift_bound,
)
from robench.layers.unfolded_conv import UnfoldedConv2d
from robench.layers.weight_cache import WeightCache

REACH = {4: 1.0, 8: 2.5, 12: 3.2}
"""The norm of A up to which singular values of the series of a degree are in [0.99, 1]."""


class SkewConv2d(UnfoldedConv2d):
    """An orthogonal convolution; takes the arguments of ``nn.Conv2d`` and ``degree``.

    Maps inputs of n pixels to ceil(n / stride), like a convolution that pads by half its kernel. It
    preserves norms to one percent if it has at least as many outputs as inputs times stride
    squared; with fewer outputs, its transpose does.

    Args:
        degree: a key of ``REACH``; each costs a convolution.
    """

    def __init__(self, *args: Any, degree: int = 4, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if degree not in REACH:
            raise UserError(f"degree is {degree}; it must be one of {', '.join(map(str, REACH))}.")
        self.degree = degree
        self.weight = initial_kernel(self, *self._sides())
        self._cache: WeightCache[Tensor] = WeightCache()
        self._cache_of_pixels: WeightCache[Tensor] = WeightCache()

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, degree: int = 4) -> Self:
        """Return a layer with the geometry of ``conv``, and its kernel as M if it is square."""
        layer = adopt(cls, conv, degree=degree)
        layer.weight = initial_kernel(conv, *layer._sides())
        return layer

    def skew(self) -> Tensor:
        """Return the kernel A, (groups * C, C, kh, kw); computed once while it is frozen."""
        return self._cache.get(self._skew, (self.weight,))

    def _skew(self) -> Tensor:
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        full = weight.unflatten(0, (self.groups, -1))
        kernel = (full - full.transpose(1, 2).flip(3, 4)) / 2
        if self.kernel_size != (1, 1):
            reach = REACH[self.degree]
            kernel = kernel * (reach / kernel_bound(kernel).clamp_min(reach))
        return kernel.flatten(0, 1)

    def matrix_of_a_pixel(self) -> Tensor:
        """Return the exponential of A, of which rows and columns too many are left out.

        Computed once while the kernel is frozen.
        """
        return self._cache_of_pixels.get(self._exponential, (self.weight,))

    def _exponential(self) -> Tensor:
        rows, columns = self.out_channels // self.groups, self.in_channels // self.groups
        skew = self.skew().flatten(1).unflatten(0, (self.groups, -1))
        matrices = torch.linalg.matrix_exp(skew)[:, :rows, :columns]
        return matrices.reshape(self.out_channels, columns, 1, 1)

    def filtered(self, x: Tensor) -> Tensor:
        """Sum the Taylor series, term by term."""
        x = self.unfolded(x)
        size, kernel = self._sides()[0], self.skew().to(x.dtype)
        term = F.pad(x, (0, 0, 0, 0, 0, size - x.shape[2])).flatten(1, 2)
        total = term
        for i in range(1, self.degree + 1):
            term = self._convolve(term, kernel) / i
            total = total + term
        kept = total.unflatten(1, (self.groups, size))[:, :, : self.out_channels // self.groups]
        return kept.flatten(1, 2)

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        left, right, top, bottom = self._reversed_padding_repeated_twice
        if self.padding_mode == "circular":
            x = _wrapped(x, (left, right, top, bottom))
            top = left = 0
        return F.conv2d(x, kernel, None, 1, (top, left), self.dilation, self.groups)

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return its bound: 1 up to rounding; see :class:`robench.base.Bounded`."""
        if self.kernel_size == (1, 1):
            kernel = self.matrix_of_a_pixel()
            return convolution_bound(plain_conv(self, kernel, self.bias), shape)
        kernel = self.skew().detach()
        norm = above(float(kernel_bound(kernel.unflatten(0, (self.groups, -1)), STEPS)))
        # Of a matrix that is skew, rows and columns have the same sums.
        size = above(float(kernel.abs().flatten(1).sum(1).max()))
        return LayerBound(
            norm=series_bound(norm, self.degree),
            absolute=above(series_absolute(norm, size, self.degree)),
            terms=kernel[0].numel() + self.degree + 2,
            shift=shift_bound(self.bias, output_pixels(self, shape)),
        )

    def circular_operator(self, size: Size) -> tuple[Tensor, Size]:
        """Return the layer's kernel on the torus that holds its padded input, and the stride.

        With zero padding, it is what the layer does away from the border.
        """
        stride = (self.stride[0], self.stride[1])
        if self.kernel_size == (1, 1):
            grid = tuple(-(-n // s) * s for n, s in zip(size, stride, strict=True))
            return on_torus(self.matrix_of_a_pixel(), (grid[0], grid[1])), stride
        coarse = self._coarse_torus(size)
        kernel = on_torus(self.skew(), coarse, dilation_of(self))
        # The center of an even, dilated kernel is the pixel between its taps, as it is padded.
        reach = zip(self.dilation, self.kernel_size, strict=True)
        shifts = [d * ((k - 1) // 2) - d * (k - 1) // 2 for d, k in reach]
        matrices = symbol(kernel.roll(shifts, (-2, -1)), (1, 1), self.groups)
        total = term = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
        for i in range(1, self.degree + 1):
            term = matrices @ term / i
            total = total + term
        rows, columns = self.out_channels // self.groups, self._inputs()
        torus = (coarse[0] * stride[0], coarse[1] * stride[1])
        return kernel_of(total[..., :rows, :columns], torus, stride), stride

    def _coarse_torus(self, size: Size) -> Size:
        """Return the pixels of the result, and the reach of the kernel if it pads with zeros."""
        sides = [-(-n // s) for n, s in zip(size, self.stride, strict=True)]
        if self.padding_mode != "circular":
            reach = zip(self.dilation, self.kernel_size, strict=True)
            sides = [n + d * (k - 1) for n, (d, k) in zip(sides, reach, strict=True)]
        return sides[0], sides[1]

    def _inputs(self) -> int:
        """Return the inputs of a group, with the pixels of a stride as channels."""
        unfolded = 1 if self.kernel_size == (1, 1) else math.prod(self.stride)
        return self.in_channels // self.groups * unfolded

    def _sides(self) -> Size:
        larger = max(self.out_channels // self.groups, self._inputs())
        return larger, larger


def _wrapped(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """Return images padded circularly, if need be by more pixels than they have."""
    left, right, top, bottom = padding
    height, width = x.shape[-2:]
    if max(left, right) <= width and max(top, bottom) <= height:
        return F.pad(x, padding, mode="circular")
    rows = torch.arange(-top, height + bottom, device=x.device) % height
    columns = torch.arange(-left, width + right, device=x.device) % width
    return x[..., rows[:, None], columns]


def kernel_bound(kernel: Tensor, steps: int = 6) -> Tensor:
    """Return an upper bound on the norm of a convolution of stride 1, for any image, a scalar.

    At a frequency, its matrix is the flattened kernel times a vector of kh kw phases, or between
    one of kh and one of kw phases.

    Args:
        kernel: (groups, out, in, kh, kw).
        steps: Gram iterations, see :func:`robench.layers.circular.gram_bound`.
    """
    _, out, inputs, kh, kw = kernel.shape
    flat = [
        kernel.reshape(-1, out, inputs * kh * kw),
        kernel.permute(0, 1, 3, 2, 4).reshape(-1, out * kh, inputs * kw),
        kernel.permute(0, 1, 4, 2, 3).reshape(-1, out * kw, inputs * kh),
    ]
    bounds = [gram_bound(matrices, steps) for matrices in flat]
    # Chosen by its value, the least is the only one with a gradient; a GPU would be waited for.
    cpu = kernel.device.type == "cpu"
    least = min(bounds, key=lambda bound: bound.item()) if cpu else torch.stack(bounds).amin()
    return least * math.sqrt(kh * kw)


def series_bound(norm: float, degree: int) -> float:
    """Return a bound on the norm of the series of a skew matrix of norm at most ``norm``.

    Beyond the reach of a degree, the remainder of the series, t^(degree + 1) / (degree + 1)! for
    imaginary numbers, is added to the norm of the exponential, 1.
    """
    if norm <= 1.01 * REACH[degree]:
        return 1.0
    return 1 + norm ** (degree + 1) / math.factorial(degree + 1)


def series_absolute(norm: float, absolute: float, degree: int) -> float:
    """Return what the rounding of the series is a multiple of, see ``LayerBound.absolute``.

    If a product with A rounds by g ``absolute`` times its input's norm, the term i, of norm at most
    norm^i / i!, is off by g c_i, with i c_i = norm c_(i - 1) + absolute (that norm + g c_(i - 1)).
    The sum of the terms rounds like a sum. g is below ``SLACK`` for a million summands.
    """
    size, off = 1.0, 0.0
    found = size
    for i in range(1, degree + 1):
        off = (norm * off + absolute * (size + SLACK * off)) / i
        size = size * norm / i
        found += size + (1 + SLACK) * off
    return found
