"""Power spectra of kernels from their autocorrelations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.layers.kernel_spectrum import autocorrelation, power_spectrum

kernels = st.tuples(*[st.integers(1, 4)] * 4, st.integers(0, 1000))


def kernel(shape: tuple[int, int, int, int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(shape[-1])
    return torch.randn(shape[:-1], generator=generator, dtype=torch.float64)


def by_fft(weight: Tensor, size: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
    """The definition: put the dilated kernel on the grid (it wraps around) and take its DFT."""
    grid = torch.zeros(*weight.shape[:2], *size, dtype=weight.dtype)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            place = (row * dilation[0] % size[0], column * dilation[1] % size[1])
            grid[:, :, place[0], place[1]] += weight[:, :, row, column]
    return torch.fft.rfft2(grid).abs().square().sum(1)


@settings(deadline=None)
@given(kernels, st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 3)] * 2))
def test_it_is_the_dft_of_the_kernel_squared_and_summed_over_inputs(
    shape: tuple[int, int, int, int, int], size: tuple[int, int], dilation: tuple[int, int]
) -> None:
    weight = kernel(shape)
    spectrum = power_spectrum(autocorrelation(weight), size, dilation)
    torch.testing.assert_close(spectrum, by_fft(weight, size, dilation), rtol=1e-11, atol=1e-11)


@given(kernels)
def test_lag_zero_is_the_squared_norm_and_lags_are_symmetric(
    shape: tuple[int, int, int, int, int],
) -> None:
    weight = kernel(shape)
    lags = autocorrelation(weight)
    middle = lags[:, weight.shape[2] - 1, weight.shape[3] - 1]
    torch.testing.assert_close(middle, weight.square().sum((1, 2, 3)))
    torch.testing.assert_close(lags, lags.flip((1, 2)))


def test_few_inputs_are_summed_in_float64_so_that_spectral_nulls_keep_their_digits() -> None:
    weight = torch.randn(200, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    exact = by_fft(weight.double(), (34, 34), (1, 1))
    spectrum = power_spectrum(autocorrelation(weight), (34, 34), (1, 1))
    assert ((spectrum - exact).abs() / exact).max() < 1e-6
    assert (exact.amin((1, 2)) / exact.amax((1, 2))).min() < 1e-4  # there are such nulls


def test_many_inputs_are_summed_in_float32_to_seven_digits() -> None:
    weight = torch.randn(8, 64, 3, 3, generator=torch.Generator().manual_seed(0))
    lags = autocorrelation(weight)
    assert lags.dtype == torch.float32
    exact = by_fft(weight.double(), (18, 18), (1, 1))
    error = (power_spectrum(lags, (18, 18), (1, 1)) - exact).abs() / exact
    assert error.max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32_or_better(dtype: torch.dtype) -> None:
    assert autocorrelation(torch.randn(2, 16, 3, 3, dtype=dtype)).dtype == torch.float32
