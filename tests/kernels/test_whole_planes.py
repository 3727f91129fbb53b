"""The filter as two products of whole planes is the filter by FFT."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.kernels import plane_filter
from robench.kernels.plane_filter import PlaneGain, filter_planes, plane_gain
from robench.kernels.whole_planes import filter_whole, multiplies_whole

Pair = tuple[int, int]
sides = st.tuples(st.integers(1, 12), st.integers(1, 12))


def planes(size: Pair, seed: int = 0, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)


def some_gain(size: Pair, channels: int = 3) -> PlaneGain:
    generator = torch.Generator().manual_seed(1)
    plane = torch.randn(channels, *size, generator=generator, dtype=torch.float64)
    return plane_gain(torch.fft.rfft2(plane).abs(), size)


def whole(y: Tensor, gain: PlaneGain, rows: range, columns: range) -> Tensor:
    assert gain.upper is not None
    return filter_whole(y, gain.upper, gain.size, rows, columns)


@settings(deadline=None)
@given(sides, st.integers(0, 3), st.integers(1, 3), st.integers(0, 100))
def test_it_equals_the_chain_of_rows_and_columns_forward_and_backward(
    size: Pair, start: int, stride: int, seed: int
) -> None:
    rows = range(min(start, size[0] - 1), size[0], stride)
    columns = range(0, max(size[1] - start, 1), stride)
    gain = some_gain(size)
    results = []
    for function in (whole, filter_planes):
        y = planes(size, seed).requires_grad_()
        z = function(y, gain, rows, columns)
        upstream = torch.randn(z.shape, generator=torch.Generator().manual_seed(2)).double()
        results.append((z, torch.autograd.grad(z, y, upstream)[0]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_it_has_gradients_of_every_order() -> None:
    gain = some_gain((5, 6))

    def squared(y: Tensor) -> Tensor:
        return whole(y, gain, range(1, 4), range(6)).square()

    y = planes((5, 6)).requires_grad_()
    assert torch.autograd.gradcheck(squared, y)
    assert torch.autograd.gradgradcheck(squared, y)


def test_in_bf16_it_is_as_exact_as_a_convolution_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_filter, "multiplies_whole", lambda y: y.dtype == torch.bfloat16)
    size, window = (18, 18), range(1, 17)
    y, gain = planes(size, channels=16), some_gain(size, channels=16)
    exact = filter_planes(y, gain, window, window)
    rounded = filter_planes(y.bfloat16(), gain, window, window)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.double() - exact).norm() < 2**-7 * exact.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cpu_takes_rows_and_columns(dtype: torch.dtype) -> None:
    assert not multiplies_whole(torch.zeros(1, 1, 4, 4, dtype=dtype))
