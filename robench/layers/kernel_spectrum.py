"""Power spectra of convolution kernels, from their autocorrelations.

For a kernel w (out, in, kh, kw), the power spectrum of channel o on a grid of N1 x N2
frequencies is S_o(f) = sum_i |w^_oi(f)|^2, with w^ the DFT of the zero-padded kernel. It is the
DFT of the autocorrelation a_o(l) = sum_i sum_t w_oi(t) w_oi(t + l), whose support of 2kh-1 by
2kw-1 lags does not depend on the grid.
"""

from functools import lru_cache

import torch
from torch import Tensor


def autocorrelation(weight: Tensor) -> Tensor:
    """Return a_o(l), (out, in, kh, kw) -> (out, 2kh-1, 2kw-1); lag 0 is at the center.

    Computed in float64 if a filter has few inputs: its spectrum may come close to zero, and in
    float32 the sum of cosines would lose those values. Half precision is computed in float32.
    """
    out, inputs, kh, kw = weight.shape
    few = inputs <= kh * kw and weight.device.type != "mps"  # mps has no float64
    rows = weight.double() if few else weight.to(torch.promote_types(weight.dtype, torch.float32))
    rows = rows.flatten(2)
    gram = rows.transpose(1, 2) @ rows
    lags = gram.flatten(1) @ _lags_of_pairs(kh, kw, rows.dtype, rows.device)
    return lags.view(out, 2 * kh - 1, 2 * kw - 1)


def power_spectrum(lags: Tensor, size: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
    """Return S_o on the half grid of ``rfft2``, (out, 2kh-1, 2kw-1) -> (out, N1, N2 // 2 + 1).

    Args:
        lags: autocorrelation of the kernel without dilation.
        size: N1 and N2; if smaller than the kernel, the spectrum is that of its alias.
        dilation: dilation of the convolution.
    """
    _, lh, lw = lags.shape
    table = _cosines((lh, lw), size, dilation, lags.dtype, lags.device)
    return (lags.flatten(1) @ table).view(-1, size[0], size[1] // 2 + 1)


@lru_cache(maxsize=64)
def _lags_of_pairs(kh: int, kw: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the 0/1 matrix (kh*kw * kh*kw, lags) that sums pairs (t, t') of equal lag t' - t."""
    with torch.inference_mode(False):
        rows, columns = torch.meshgrid(torch.arange(kh), torch.arange(kw), indexing="ij")
        rows, columns = rows.flatten(), columns.flatten()
        lag_rows = rows[None, :] - rows[:, None] + kh - 1
        lag_columns = columns[None, :] - columns[:, None] + kw - 1
        lag = (lag_rows * (2 * kw - 1) + lag_columns).flatten()
        count = (2 * kh - 1) * (2 * kw - 1)
        return torch.nn.functional.one_hot(lag, count).to(device=device, dtype=dtype)


@lru_cache(maxsize=64)
def _cosines(
    lags: tuple[int, int],
    size: tuple[int, int],
    dilation: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return cos(2 pi <f, d l / N>), (lags, N1 * (N2 // 2 + 1)); phases are reduced exactly."""
    with torch.inference_mode(False):
        counts = (size[0], size[1] // 2 + 1)
        turns = []
        for lag, n, d, count in zip(lags, size, dilation, counts, strict=True):
            offset = (torch.arange(lag) - lag // 2) * d
            turns.append(((offset[:, None] * torch.arange(count)) % n).double() / n)
        phase = turns[0][:, None, :, None] + turns[1][None, :, None, :]
        table = torch.cos(2 * torch.pi * phase)
        return table.reshape(lags[0] * lags[1], -1).to(device=device, dtype=dtype)
