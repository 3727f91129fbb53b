"""Cayley convolutions are orthogonal to rounding, whatever their geometry."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import Tensor, nn

from robench import UserError, apply_defense
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
    {"kernel_size": 1, "padding": 0, "stride": 2, "out_channels": 3},
    {"kernel_size": 1, "padding": 0, "stride": (1, 3), "groups": 2},
    {"kernel_size": 5, "padding": 2, "groups": 4, "out_channels": 8},
    {"kernel_size": 5, "padding": 2, "dilation": 1, "in_channels": 2, "out_channels": 9},
    {"kernel_size": 3, "padding": (2, 1), "dilation": (2, 1), "stride": 2, "groups": 2},
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


def test_what_is_kept_for_frozen_weights_is_recomputed_when_they_change() -> None:
    made = layer().requires_grad_(False).eval()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    first = made(x)
    assert torch.equal(made(x), first)
    with torch.no_grad():
        made.weight.neg_()
    assert not torch.allclose(made(x), first)


@settings(max_examples=20, deadline=None)
@given(
    inputs=st.integers(1, 4),
    outputs=st.integers(1, 6),
    kernel=st.sampled_from([3, 5]),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    times=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_every_geometry_is_orthogonal(
    inputs: int, outputs: int, kernel: int, stride: tuple[int, int], times: tuple[int, int]
) -> None:
    made = layer(
        in_channels=inputs, out_channels=outputs, kernel_size=kernel, padding=kernel // 2,
        stride=stride,
    )  # fmt: skip
    values = torch.linalg.svdvals(dense(made, inputs, times[0] * stride[0], times[1] * stride[1]))
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-10, rtol=0)


def test_a_strided_kernel_of_one_pixel_keeps_what_it_sees_and_drops_the_rest() -> None:
    made = layer(kernel_size=1, padding=0, stride=2, out_channels=7)
    matrix = dense(made, 4, 6)
    seen = torch.zeros(4, 6, 6, dtype=torch.bool)
    seen[:, ::2, ::2] = True
    values = torch.linalg.svdvals(matrix[:, seen.flatten()])
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-12, rtol=0)
    assert matrix[:, ~seen.flatten()].abs().max() == 0


@pytest.mark.parametrize(("outputs", "stride"), [(4, 1), (7, 1), (36, 3)])
def test_norms_are_kept_where_nothing_is_reduced(outputs: int, stride: int) -> None:
    made = layer(out_channels=outputs, stride=stride)
    x = torch.randn(5, 4, 7, 5, dtype=torch.float64)
    after = made(x).flatten(1).norm(dim=1)
    torch.testing.assert_close(after, x.flatten(1).norm(dim=1), atol=1e-10, rtol=0)


@pytest.mark.parametrize("stride", [2, 3])
def test_shifting_the_input_by_a_stride_shifts_the_output_by_a_pixel(stride: int) -> None:
    made, x = layer(stride=stride), torch.randn(2, 4, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(
        made(x.roll((stride, 2 * stride), (2, 3))), made(x).roll((1, 2), (2, 3))
    )


@pytest.mark.parametrize("changes", [{}, {"stride": 2, "out_channels": 9}, {"groups": 2}], ids=str)
def test_in_float32_singular_values_are_one_to_its_precision(changes: dict[str, Any]) -> None:
    made = layer(**changes).float()
    basis = torch.eye(4 * 36).view(-1, 4, 6, 6)
    with torch.no_grad():
        values = torch.linalg.svdvals(made(basis).flatten(1).double())
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_it_depends_on_the_direction_of_the_weight_and_on_the_gain(scale: float) -> None:
    made, x = layer(), torch.randn(2, 4, 5, 5, dtype=torch.float64)
    before = made(x)
    with torch.no_grad():
        made.weight.mul_(scale)
    torch.testing.assert_close(made(x), before)
    with torch.no_grad():
        made.gain.mul_(2)
    assert not torch.allclose(made(x), before, atol=1e-3)


def test_the_bias_is_added_to_what_is_orthogonal() -> None:
    made, x = layer(bias=True), torch.randn(2, 4, 5, 5, dtype=torch.float64)
    with_bias = made(x)
    assert made.bias is not None
    bias = made.bias.detach().view(-1, 1, 1)
    made.bias = None
    torch.testing.assert_close(with_bias, made(x) + bias)


@pytest.mark.parametrize("change", ["weight", "gain", "state"])
def test_evaluation_follows_every_change_of_frozen_parameters(change: str) -> None:
    made = layer().requires_grad_(False).eval()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    first = made(x)
    if change == "state":
        made.load_state_dict({k: 1.5 - v for k, v in made.state_dict().items()})
    else:
        made.get_parameter(change).mul_(-1.5)
    fresh = layer().requires_grad_(False).eval()
    fresh.load_state_dict(made.state_dict())
    assert not torch.allclose(made(x), first)
    assert torch.equal(made(x), fresh(x))


def test_frozen_layers_take_other_sizes_in_between() -> None:
    made, free = layer(stride=2).requires_grad_(False), layer(stride=2)
    for n in (4, 6, 4, 5):
        x = torch.randn(2, 4, n, n, dtype=torch.float64)
        assert torch.equal(made(x), free(x))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"padding": 0}, r"its padding is \(0, 0\)"),
        ({"padding": 2}, r"its padding is \(2, 2\)"),
        ({"kernel_size": 1, "padding": 1}, r"its padding is \(1, 1\)"),
        ({"kernel_size": 2, "padding": "same"}, "its padding is same"),
        ({"padding": 1, "padding_mode": "reflect"}, "its padding_mode is 'reflect'"),
        ({"padding": 1, "padding_mode": "replicate"}, "its padding_mode is 'replicate'"),
    ],
)
def test_convolutions_that_change_the_size_are_refused_by_name_and_reason(
    changes: dict[str, Any], reason: str
) -> None:
    conv = nn.Conv2d(**{"in_channels": 3, "out_channels": 4, "kernel_size": 3, **changes})
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Sequential(conv))
    with pytest.raises(UserError, match=rf"layer '1.0', Conv2d.*Cayley cannot .*{reason}"):
        apply_defense(model, "cayley")


def test_a_defended_network_is_a_contraction_where_it_consists_of_such_layers() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2, padding=1),
        nn.ReLU(), nn.Conv2d(4, 2, 1),
    )  # fmt: skip
    made = apply_defense(model, "cayley(bn=false)").double()
    x, y = torch.randn(2, 8, 3, 6, 6, dtype=torch.float64)
    after = (made(x) - made(y)).flatten(1).norm(dim=1)
    assert (after <= (x - y).flatten(1).norm(dim=1) * (1 + 1e-12)).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_no_images_make_no_maps(stride: int) -> None:
    images = torch.zeros(2, 4, 5, 6, dtype=torch.float64)
    made = layer(stride=stride, out_channels=6)
    assert made(images[:0]).shape == (0, *made(images).shape[1:])
