"""Two-dimensional FFTs of real images and kernels, with gradients that take less than torch's.

torch's gradient of ``rfft2`` pads the half grid to the whole one and transforms complex numbers;
here it is an inverse transform of half the size, or for a kernel one sum per tap.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

Size = tuple[int, int]


def rfft2(x: Tensor) -> Tensor:
    """Return ``torch.fft.rfft2(x)``, (..., N1, N2) -> (..., N1, N2 // 2 + 1), complex."""
    if x.device.type != "cpu" or not (x.requires_grad and torch.is_grad_enabled()):
        return torch.fft.rfft2(x)
    spectrum: Tensor = _RealFFT.apply(x)
    return spectrum


class _RealFFT(torch.autograd.Function):
    """x -> X with dL/dx = Re sum_f dL/dX(f) e^(i f x), over the half grid.

    ``irfft2`` adds the complex conjugate of all frequencies that have no conjugate within the half
    grid, and of the others, in the columns 0 and N2 / 2, it takes the real part.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.size = x.shape[-2:]
        return torch.fft.rfft2(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        [gradient], (n1, n2) = gradients, ctx.size
        shares = gradient.new_full((n2 // 2 + 1,), 0.5, dtype=gradient.real.dtype)
        shares[0] = 1
        if n2 % 2 == 0:
            shares[-1] = 1
        # Of a product per frequency it lies frequency by frequency, slow to transform.
        return torch.fft.irfft2((gradient * shares).contiguous(), s=(n1, n2), norm="forward")


def of_taps(kernel: Tensor, spectrum: Tensor, waves: Tensor) -> Tensor:
    """Return the spectrum of a kernel, with a gradient that is one sum over frequencies per tap.

    Args:
        kernel: (out, in, kh, kw), real.
        spectrum: sum_t kernel[:, :, t] waves[f, t], (F, ...), however it was computed.
        waves: (F, kh * kw), complex.
    """
    found: Tensor = _OfTaps.apply(kernel, spectrum, waves)
    return found


class _OfTaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernel: Tensor, spectrum: Tensor, waves: Tensor) -> Tensor:
        ctx.shape, ctx.waves = kernel.shape, waves
        return spectrum.view_as(spectrum)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        [gradient], (out, inputs, *sides) = gradients, ctx.shape
        taps = (ctx.waves.mH @ gradient.reshape(len(gradient), -1)).real
        return taps.view(*sides, out, inputs).permute(2, 3, 0, 1), None, None


@lru_cache(maxsize=64)
def waves(
    kernel_size: Size, torus: Size, dilation: Size, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return e^(i f p) at the positions p of the taps, (N1 * (N2 // 2 + 1), kh * kw).

    The center of the kernel is at the origin. Phases are reduced exactly.
    """
    turns = []
    grid = (torus[0], torus[1] // 2 + 1)
    for k, n, d, count in zip(kernel_size, torus, dilation, grid, strict=True):
        position = d * (torch.arange(k) - (k - 1) // 2)
        turns.append((torch.outer(torch.arange(count), position) % n).double() / n)
    phase = turns[0][:, None, :, None] + turns[1][None, :, None, :]
    turned = torch.polar(torch.ones_like(phase), 2 * torch.pi * phase)
    return turned.reshape(grid[0] * grid[1], -1).to(device=device, dtype=dtype)
