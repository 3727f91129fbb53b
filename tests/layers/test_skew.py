"""Skew convolutions: exactly skew on the padded image, and a series that never expands."""

import math

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import nn

from robench import UserError
from robench.layers.skew import REACH, SkewConv2d, kernel_bound, series_absolute, series_bound


def plain(layer: SkewConv2d, kernel: torch.Tensor) -> nn.Conv2d:
    """Return the convolution with the layer's skew kernel, of stride 1."""
    conv = nn.Conv2d(
        kernel.shape[1] * layer.groups, len(kernel), layer.kernel_size, 1, layer.padding,
        layer.dilation, layer.groups, bias=False, padding_mode=layer.padding_mode,
    ).double()  # fmt: skip
    conv.weight = nn.Parameter(kernel.detach())
    return conv


@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
@pytest.mark.parametrize("n", [3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_matrix_is_skew_borders_included_and_the_layer_its_exponential(
    padding_mode: str, n: int, dilation: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(
        3, 3, 3, padding=dilation, dilation=dilation, bias=False, padding_mode=padding_mode
    )
    layer = SkewConv2d.from_conv(conv, degree=12).double()
    a = dense(plain(layer, layer.skew()), 3, n)
    assert torch.equal(a, -a.T)
    assert a.abs().max() > 0.01
    torch.testing.assert_close(dense(layer, 3, n), torch.matrix_exp(a), atol=1e-8, rtol=0)


@settings(max_examples=30, deadline=None)
@given(
    channels=st.sampled_from([1, 2, 4]),
    kernel=st.sampled_from([1, 3, (1, 3), (5, 3)]),
    groups=st.sampled_from([1, 2]),
    n=st.integers(3, 6),
    seed=st.integers(0, 99),
)
def test_the_bound_of_a_kernel_is_above_its_norm(
    channels: int, kernel: int | tuple[int, int], groups: int, n: int, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(groups * 4, groups * channels, kernel, padding="same", groups=groups,
        bias=False).double()  # fmt: skip
    exact = torch.linalg.matrix_norm(dense(conv, groups * 4, n), ord=2)
    split = conv.weight.unflatten(0, (groups, -1))
    for steps in (2, 6, 17):
        assert exact <= kernel_bound(split, steps) * (1 + 1e-12)


@pytest.mark.parametrize("degree", REACH)
def test_the_series_is_proved_to_stay_at_one_or_below_and_at_99_percent_or_above(
    degree: int,
) -> None:
    t = sympy.symbols("t")
    terms = [(-1) ** (i // 2) * t**i / sympy.factorial(i) for i in range(degree + 1)]
    square = sympy.Poly(sympy.expand(sum(terms[::2]) ** 2 + sum(terms[1::2]) ** 2), t, domain="QQ")
    reach = sympy.Rational(str(REACH[degree]))
    beyond = sympy.Rational(101, 100) * reach
    # |p(it)|^2 - 1 is t^(degree + 2) times a polynomial without roots, negative at the start.
    lowest = min(power[0] for power in (square - 1).monoms())
    assert lowest == degree + 2
    rest = sympy.exquo(square - 1, sympy.Poly(t**lowest, t, domain="QQ"))
    assert rest.eval(0) < 0
    assert rest.count_roots(0, beyond) == 0
    least = square - sympy.Rational(9801, 10000)
    assert least.eval(0) > 0
    assert least.count_roots(0, reach) == 0


@pytest.mark.parametrize("degree", REACH)
def test_beyond_its_reach_the_remainder_is_added(degree: int) -> None:
    assert series_bound(REACH[degree], degree) == 1
    for norm in (1.5 * REACH[degree], 4.0):
        largest = max(
            abs(sum((1j * norm * k / 500) ** i / math.factorial(i) for i in range(degree + 1)))
            for k in range(501)
        )
        assert series_bound(norm, degree) >= largest


def test_a_kernel_beyond_the_reach_is_scaled_down_and_another_one_is_not() -> None:
    torch.manual_seed(0)
    layer = SkewConv2d.from_conv(nn.Conv2d(4, 4, 3, padding=1, bias=False)).double()
    with torch.no_grad():
        layer.weight.mul_(0.1)
    small = layer.skew()
    torch.testing.assert_close(small, (layer.weight - layer.weight.transpose(0, 1).flip(2, 3)) / 2)
    with torch.no_grad():
        layer.weight.mul_(1e4)
    norm = torch.linalg.matrix_norm(dense(plain(layer, layer.skew()), 4, 7), ord=2)
    assert 0.3 < norm <= 1


def test_rounding_is_counted_by_more_than_a_plain_sum_of_the_terms() -> None:
    assert series_absolute(1.0, 1.0, 4) >= sum(1 / math.factorial(i) for i in range(5))
    assert series_absolute(1.0, 30.0, 4) < math.exp(30) / 1e6
    found = [series_absolute(1.0, size, 8) for size in (1.0, 2.0, 4.0)]
    assert found == sorted(found)


def test_another_degree_is_refused() -> None:
    with pytest.raises(UserError, match="degree is 5; it must be one of 4, 8, 12"):
        SkewConv2d(4, 4, 3, padding=1, degree=5)


def test_a_square_kernel_is_kept_and_another_one_is_drawn() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1)
    assert torch.equal(SkewConv2d.from_conv(conv).weight, conv.weight)
    wide = SkewConv2d.from_conv(nn.Conv2d(4, 6, 3, 2, padding=1))
    assert wide.weight.shape == (16, 16, 3, 3)
