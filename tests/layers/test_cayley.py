"""Cayley convolutions are orthogonal to rounding, whatever their geometry."""

import copy
from typing import Any

import pytest
import torch
from support import dense
from torch import Tensor, nn

from robench.layers.cayley import CayleyConv2d, cayley


def layer(**changes: Any) -> CayleyConv2d:
    torch.manual_seed(0)
    options = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, "bias": False}
    conv = nn.Conv2d(**{**options, **changes})  # type: ignore[arg-type]
    return CayleyConv2d.from_conv(conv).double()


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 1), (1, 1)])
def test_the_transform_has_orthonormal_columns_or_rows(shape: tuple[int, ...]) -> None:
    result = cayley(torch.randn(*shape, dtype=torch.complex128))
    values = torch.linalg.svdvals(result)
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-13, rtol=0)


GEOMETRIES: list[dict[str, Any]] = [
    {},
    {"out_channels": 7},
    {"out_channels": 2},
    {"in_channels": 1, "out_channels": 5},
    {"stride": 2},
    {"stride": 2, "out_channels": 16},
    {"stride": 2, "out_channels": 20},
    {"stride": 3, "kernel_size": 5, "padding": 2},
    {"stride": (1, 2)},
    {"groups": 2},
    {"groups": 2, "stride": 2},
    {"dilation": 2, "padding": 2},
    {"kernel_size": 1, "padding": 0},
    {"kernel_size": (1, 3), "padding": (0, 1)},
]


@pytest.mark.parametrize("n", [6, 12])
@pytest.mark.parametrize("changes", GEOMETRIES, ids=str)
def test_all_singular_values_are_one_where_the_stride_divides_the_input(
    changes: dict[str, Any], n: int
) -> None:
    made = layer(**changes)
    if n == 12 and made.in_channels * made.stride[0] > 8:
        pytest.skip("dense matrices of that size are slow")
    values = torch.linalg.svdvals(dense(made, made.in_channels, n))
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-12, rtol=0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("changes", [{}, {"out_channels": 6}], ids=str)
def test_odd_and_tiny_inputs_too(changes: dict[str, Any], n: int) -> None:
    values = torch.linalg.svdvals(dense(layer(**changes), 4, n))
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-12, rtol=0)


@pytest.mark.parametrize("n", [5, 7])
def test_where_the_stride_does_not_divide_the_input_norms_are_kept_below_one(n: int) -> None:
    values = torch.linalg.svdvals(dense(layer(stride=2, out_channels=20), 4, n))
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-12, rtol=0)
    assert torch.linalg.svdvals(dense(layer(stride=2), 4, n)).max() <= 1 + 1e-12


@pytest.mark.parametrize("n", [5, 6])
@pytest.mark.parametrize("changes", GEOMETRIES, ids=str)
def test_results_have_the_shape_of_the_convolution(changes: dict[str, Any], n: int) -> None:
    made = layer(**changes)
    x = torch.randn(2, made.in_channels, n, n + 1, dtype=torch.float64)
    plain = nn.Conv2d.forward(made, x)
    assert made(x).shape == plain.shape
    torch.testing.assert_close(made(x[0]), made(x)[0])


def test_shifting_the_input_shifts_the_output() -> None:
    made, x = layer(), torch.randn(2, 4, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(made(x.roll((1, 2), (2, 3))), made(x).roll((1, 2), (2, 3)))


def test_a_kernel_that_is_skew_is_transformed_as_a_whole() -> None:
    made = layer(out_channels=4)
    operator = dense(made, 4, 5)
    plain = nn.Conv2d(4, 4, 3, padding=1, bias=False, padding_mode="circular").double()
    plain.weight = made.weight
    a = dense(plain, 4, 5)
    a, eye = a - a.T, torch.eye(100, dtype=torch.float64)
    torch.testing.assert_close(operator, (eye - a) @ torch.linalg.inv(eye + a))


def test_float32_is_orthogonal_to_its_precision_and_bf16_comes_back_as_bf16() -> None:
    made = layer(out_channels=8).float()
    x = torch.randn(16, 4, 8, 8)
    gains = made(x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
    torch.testing.assert_close(gains, torch.ones(16), atol=1e-5, rtol=0)
    assert made.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("changes", [{}, {"stride": 2, "out_channels": 3, "bias": True}], ids=str)
def test_gradients_are_those_of_finite_differences(changes: dict[str, Any]) -> None:
    made = layer(**changes)
    x = torch.randn(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in made.named_parameters()]

    def function(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        out: Tensor = torch.func.functional_call(made, given, (x,))
        return out

    assert torch.autograd.gradcheck(function, (x, *made.parameters()), fast_mode=True)


def test_the_gain_is_trained_from_the_first_step_and_travels_with_the_state() -> None:
    made, fresh = layer(), layer()
    with torch.no_grad():
        made.weight.mul_(2)
        made.gain.mul_(3)
    fresh.load_state_dict(copy.deepcopy(made.state_dict()))
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    made(torch.randn(1, 4, 4, 4, dtype=torch.float64))
    assert torch.equal(made(x), fresh(x))
    made(x).sum().backward()
    assert made.gain.grad is not None


def test_what_is_kept_for_frozen_weights_is_made_anew_when_they_change() -> None:
    made = layer().requires_grad_(False).eval()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    first = made(x)
    assert torch.equal(made(x), first)
    with torch.no_grad():
        made.weight.neg_()
    assert not torch.allclose(made(x), first)
