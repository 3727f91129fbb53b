"""The filter as products with a real Fourier basis is the filter by FFT."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.kernels.plane_filter import LARGEST_PRODUCT, plane_gain
from robench.kernels.plane_filter import filter_planes as filter_prepared

sides = st.tuples(st.integers(1, 12), st.integers(1, 12))


def planes(size: tuple[int, int], seed: int = 0, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)


def some_gain(size: tuple[int, int], channels: int = 3) -> Tensor:
    """A gain with V(f) = V(-f) but V(f1, f2) != V(-f1, f2), as kernels have."""
    generator = torch.Generator().manual_seed(1)
    plane = torch.randn(channels, *size, generator=generator, dtype=torch.float64)
    return torch.fft.rfft2(plane).abs()


def filter_planes(y: Tensor, gain: Tensor, rows: range, columns: range) -> Tensor:
    return filter_prepared(y, plane_gain(gain, (y.shape[-2], y.shape[-1])), rows, columns)


def by_fft(y: Tensor, gain: Tensor, rows: range, columns: range) -> Tensor:
    z = torch.fft.irfft2(torch.fft.rfft2(y) * gain, s=(y.shape[-2], y.shape[-1]))
    return z[..., list(rows), :][..., list(columns)]


@settings(deadline=None)
@given(sides, st.integers(0, 3), st.integers(1, 3), st.integers(0, 100))
def test_it_equals_the_fft_forward_and_backward(
    size: tuple[int, int], start: int, stride: int, seed: int
) -> None:
    rows = range(min(start, size[0] - 1), size[0], stride)
    columns = range(0, max(size[1] - start, 1), stride)
    gain = some_gain(size)
    results = []
    for function in (filter_planes, by_fft):
        y = planes(size, seed).requires_grad_()
        z = function(y, gain, rows, columns)
        upstream = torch.randn(z.shape, generator=torch.Generator().manual_seed(2)).double()
        results.append((z, torch.autograd.grad(z, y, upstream)[0]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_gradcheck() -> None:
    y = planes((5, 4)).requires_grad_()
    gain = some_gain((5, 4))
    window = (range(1, 5, 2), range(0, 4))
    assert torch.autograd.gradcheck(lambda x: filter_planes(x, gain, *window), y)


def test_p10_the_filter_is_its_own_adjoint() -> None:
    gain, whole = some_gain((7, 6)), (range(7), range(6))
    x, y = planes((7, 6), 1), planes((7, 6), 2)
    left = (y * filter_planes(x, gain, *whole)).sum()
    right = (filter_planes(y, gain, *whole) * x).sum()
    torch.testing.assert_close(left, right)


def test_large_planes_go_through_the_fft_and_give_the_same() -> None:
    for side in (LARGEST_PRODUCT, LARGEST_PRODUCT + 1):
        y, gain = planes((side, 3)), some_gain((side, 3))
        window = (range(2, side, 2), range(3))
        torch.testing.assert_close(filter_planes(y, gain, *window), by_fft(y, gain, *window))


def test_a_gain_that_needs_a_gradient_gets_one() -> None:
    y, gain = planes((5, 5)), some_gain((5, 5)).requires_grad_()
    filter_planes(y, gain, range(5), range(5)).square().sum().backward()
    assert gain.grad is not None
    assert gain.grad.abs().sum() > 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_half_precision_and_layouts(layout: torch.memory_format) -> None:
    y = planes((8, 8)).to(memory_format=layout)
    gain = some_gain((8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        z = filter_planes(y.bfloat16(), gain.float(), range(1, 8), range(1, 8))
        exact = filter_planes(y.bfloat16().float(), gain.float(), range(1, 8), range(1, 8))
    assert z.dtype == torch.bfloat16
    expected = by_fft(y.bfloat16().double(), gain, range(1, 8), range(1, 8))
    assert exact.dtype == torch.float32
    torch.testing.assert_close(exact.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(z.double(), expected, rtol=2**-8, atol=1e-5)  # of its rounding


def test_the_result_may_be_changed_in_place_as_an_activation_does() -> None:
    y = planes((6, 6)).requires_grad_()
    z = filter_planes(y, some_gain((6, 6)), range(6), range(6))
    torch.relu_(z)
    z.sum().backward()
    assert y.grad is not None


def test_a_second_derivative_is_that_of_a_linear_map() -> None:
    y = planes((4, 4)).requires_grad_()
    window = (range(4), range(4))
    function = lambda x: filter_planes(x, some_gain((4, 4)), *window).square()  # noqa: E731
    assert torch.autograd.gradgradcheck(function, y)
