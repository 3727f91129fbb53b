"""Division by the norm of the convolution."""

import pytest
import torch
from support import dense

from robench.defenses.conv_sn import ConvSN2d, Norm
from robench.layers.circular import symbol


def layer(norm: Norm, mode: str = "zeros", stride: int = 1) -> ConvSN2d:
    torch.manual_seed(0)
    options = {"stride": stride, "padding": 1, "bias": False, "padding_mode": mode}
    return ConvSN2d(4, 6, 3, norm=norm, **options).double()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("n", [4, 6])
def test_the_exact_norm_makes_a_circular_layer_of_norm_one(stride: int, n: int) -> None:
    norm = torch.linalg.matrix_norm(dense(layer("svd", "circular", stride), 4, n), ord=2)
    torch.testing.assert_close(norm, torch.ones_like(norm))


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("n", [3, 5, 6])
def test_the_gram_bound_comes_within_a_percent_below_it(mode: str, n: int) -> None:
    exact, bounded = layer("svd", mode), layer("gram", mode)
    ratio = float((bounded.sigma((n, n)) / exact.sigma((n, n))).detach())
    assert 1 - 1e-12 <= ratio < 1.01
    assert torch.linalg.matrix_norm(dense(bounded, 4, n), ord=2) <= 1 + 1e-12


def test_its_circular_operator_is_the_divided_one() -> None:
    made = layer("svd")
    kernel, stride = made.circular_operator((6, 6))
    norm = torch.linalg.svdvals(symbol(kernel, stride)).max()
    torch.testing.assert_close(norm, torch.ones_like(norm))


def test_it_does_not_depend_on_the_scale_of_the_weight() -> None:
    made, x = layer("gram"), torch.randn(2, 4, 5, 5, dtype=torch.float64)
    before = made(x)
    with torch.no_grad():
        made.weight.mul_(7)
    torch.testing.assert_close(made(x), before)


@pytest.mark.parametrize("norm", ["gram", "svd"])
def test_its_gradient_is_orthogonal_to_the_weight(norm: Norm) -> None:
    made = layer(norm)
    made(torch.randn(2, 4, 5, 5, dtype=torch.float64)).square().sum().backward()
    assert made.weight.grad is not None
    assert (made.weight * made.weight.grad).sum().abs() < 1e-10
