"""Orthogonal convolutions: singular values of one, whatever the geometry, against dense matrices.

What the layers have in common; ``test_cayley.py`` is about the Cayley transform alone.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.certificates.layers import bound_of
from robench.layers.block_reflector import BlockReflectorConv2d
from robench.layers.circular import symbol
from robench.layers.polar import PolarConv2d
from robench.layers.skew import SkewConv2d

Layer = BlockReflectorConv2d | PolarConv2d | SkewConv2d

MAKE: dict[str, Callable[[nn.Conv2d], Layer]] = {
    "bro": BlockReflectorConv2d.from_conv,
    "bro(rank=0.5)": lambda conv: BlockReflectorConv2d.from_conv(conv, rank=0.5),
    "lot": lambda conv: PolarConv2d.from_conv(conv, steps=40),
    "soc": SkewConv2d.from_conv,
    "soc(degree=8)": lambda conv: SkewConv2d.from_conv(conv, degree=8),
    "soc(degree=12)": lambda conv: SkewConv2d.from_conv(conv, degree=12),
}
SLACK = {"bro": 1e-10, "lot": 1e-10, "soc": 0.01}
"""By how much singular values may be below 1; none may be above it."""

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
    {"groups": 2, "stride": 2, "out_channels": 6},
    {"dilation": 2, "padding": 2},
    {"kernel_size": 1, "padding": 0},
    {"kernel_size": (1, 3), "padding": (0, 1)},
    {"kernel_size": 5, "padding": 2, "groups": 2, "out_channels": 8},
    {"kernel_size": 3, "padding": (2, 1), "dilation": (2, 1), "stride": 2, "groups": 2},
]

every_layer = pytest.mark.parametrize("name", MAKE)


def layer(name: str, seed: int = 0, scale: float = 3.0, **changes: Any) -> Layer:
    """Return a layer, in float64, whose kernel was multiplied by ``scale``."""
    torch.manual_seed(seed)
    options = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, "bias": False}
    made = MAKE[name](nn.Conv2d(**{**options, **changes})).double()  # type: ignore[arg-type]
    with torch.no_grad():
        made.weight.mul_(scale)
    return made


def check_orthogonal(name: str, values: Tensor) -> None:
    assert values.max() <= 1 + 1e-12
    assert values.min() >= 1 - SLACK[name.partition("(")[0]]


@pytest.mark.parametrize("changes", GEOMETRIES, ids=str)
@every_layer
def test_all_singular_values_are_one_where_the_stride_divides_the_input(
    name: str, changes: dict[str, Any]
) -> None:
    made = layer(name, **changes)
    check_orthogonal(name, torch.linalg.svdvals(dense(made, made.in_channels, 6)))


@pytest.mark.parametrize("n", [1, 2, 5, 7])
@pytest.mark.parametrize("outputs", [4, 6, 3])
@every_layer
def test_odd_and_tiny_inputs_too(name: str, outputs: int, n: int) -> None:
    made = layer(name, out_channels=outputs)
    check_orthogonal(name, torch.linalg.svdvals(dense(made, 4, n)))


@pytest.mark.parametrize("changes", GEOMETRIES, ids=str)
@every_layer
def test_no_images_make_no_maps(name: str, changes: dict[str, Any]) -> None:
    made = layer(name, **changes)
    images = torch.zeros(3, made.in_channels, 5, 6, dtype=torch.float64)
    assert made(images[:0]).shape == (0, *made(images).shape[1:])


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_circular_operator_of_soc_is_that_of_its_layer_on_a_torus(
    kernel: int, dilation: int, stride: int
) -> None:
    padding, rest = divmod(dilation * (kernel - 1), 2)
    if rest:
        return  # refused: such a kernel has no center
    made = layer("soc", kernel_size=kernel, dilation=dilation, padding=padding, stride=stride,
                 padding_mode="circular")  # fmt: skip
    n = 6 * stride
    values = torch.linalg.svdvals(symbol(*made.circular_operator((n, n))))
    assert values.max() <= 1 + 1e-12
    truth = torch.linalg.svdvals(dense(made, 4, n))
    torch.testing.assert_close(values.max(), truth.max())
    torch.testing.assert_close(values.min(), truth.min())


@pytest.mark.parametrize("n", [1, 2, 3])
def test_soc_wraps_around_maps_that_are_smaller_than_its_padding(n: int) -> None:
    made = layer("soc", kernel_size=5, padding=2, stride=2, padding_mode="circular")
    values = torch.linalg.svdvals(dense(made, 4, n))
    assert values.max() <= 1 + 1e-12
    truth = torch.linalg.svdvals(symbol(*made.circular_operator((n, n)))).max()
    assert values.max() <= truth + 1e-12


@pytest.mark.parametrize("n", [5, 7])
@every_layer
def test_where_the_stride_does_not_divide_the_input_no_norm_exceeds_one(name: str, n: int) -> None:
    assert torch.linalg.svdvals(dense(layer(name, stride=2), 4, n)).max() <= 1 + 1e-12
    wide = torch.linalg.svdvals(dense(layer(name, stride=2, out_channels=20), 4, n))
    check_orthogonal(name, wide)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(list(MAKE)),
    inputs=st.integers(2, 4),
    outputs=st.integers(1, 6),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    circular=st.booleans(),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    side=st.integers(4, 6),
    seed=st.integers(0, 99),
)
def test_the_stated_bound_is_above_the_norm_of_the_matrix(
    name: str,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: tuple[int, int],
    circular: bool,
    scale: float,
    side: int,
    seed: int,
) -> None:
    made = layer(
        name, seed, scale, in_channels=inputs, out_channels=outputs, kernel_size=kernel,
        padding=kernel // 2, stride=stride, padding_mode="circular" if circular else "zeros",
    )  # fmt: skip
    exact = torch.linalg.matrix_norm(dense(made, inputs, side), ord=2)
    bound = bound_of(made.requires_grad_(False), (inputs, side, side))
    assert exact <= bound.norm + 1e-12, "to the rounding of the dense matrix"
    assert bound.norm <= 1.001
    assert bound.norm <= bound.absolute + 1e-12


@pytest.mark.parametrize("n", [5, 6])
@pytest.mark.parametrize("changes", GEOMETRIES, ids=str)
@every_layer
def test_results_have_the_shape_of_the_convolution(
    name: str, changes: dict[str, Any], n: int
) -> None:
    made = layer(name, **changes)
    options = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1} | changes
    x = torch.randn(2, made.in_channels, n, n + 1, dtype=torch.float64)
    assert made(x).shape == nn.Conv2d(**options).double()(x).shape
    torch.testing.assert_close(made(x[0]), made(x)[0])


@pytest.mark.parametrize("outputs", [4, 6])
@pytest.mark.parametrize("stride", [1, 2])
@every_layer
def test_the_circular_operator_is_what_the_layer_does(name: str, stride: int, outputs: int) -> None:
    changes = {"stride": stride, "out_channels": outputs, "padding_mode": "circular"}
    made = layer(name, **changes)
    kernel, found = made.circular_operator((6, 6))
    values = torch.linalg.svdvals(symbol(kernel.detach(), found)).flatten()
    exact = torch.linalg.svdvals(dense(made, 4, 6))
    assert found == (stride, stride)
    torch.testing.assert_close(values.max(), exact.max())
    torch.testing.assert_close(values.min(), exact.min())


@pytest.mark.parametrize(
    "changes", [{}, {"stride": 2, "out_channels": 3, "bias": True}, {"out_channels": 5}], ids=str
)
@every_layer
def test_gradients_are_those_of_finite_differences(name: str, changes: dict[str, Any]) -> None:
    made = layer(name, **changes)
    x = torch.randn(1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    names = [key for key, _ in made.named_parameters()]

    def function(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        out: Tensor = torch.func.functional_call(made, given, (x,))
        return out

    assert torch.autograd.gradcheck(function, (x, *made.parameters()), fast_mode=True)


@every_layer
def test_a_kernel_of_zeros_has_an_output_and_gradients(name: str) -> None:
    for changes in ({}, {"kernel_size": 1, "padding": 0}, {"stride": 2, "out_channels": 20}):
        made = layer(name, scale=0.0, **changes)
        x = torch.randn(2, 4, 6, 6, dtype=torch.float64, requires_grad=True)
        y = made(x)
        y.square().sum().backward()
        assert y.isfinite().all()
        assert made.weight.grad is not None
        assert made.weight.grad.isfinite().all()
        assert bound_of(made.requires_grad_(False), (4, 6, 6)).norm <= 1.001


@every_layer
def test_float32_is_as_orthogonal_as_it_can_be_and_bf16_comes_back_as_bf16(name: str) -> None:
    made = layer(name, out_channels=8).float()
    x = torch.randn(16, 4, 8, 8)
    gains = made(x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
    check = SLACK[name.partition("(")[0]] + 1e-5
    torch.testing.assert_close(gains, torch.ones(16), atol=check, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(made(x), made(x.clone()))
        assert made(x).dtype == torch.float32, "computed in float32"
    assert made.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@every_layer
def test_the_bias_is_added_to_what_is_orthogonal(name: str) -> None:
    made, x = layer(name, bias=True), torch.randn(2, 4, 5, 5, dtype=torch.float64)
    with_bias, bias = made(x), made.bias
    assert bias is not None
    made.bias = None
    torch.testing.assert_close(with_bias, made(x) + bias.detach().view(-1, 1, 1))


@every_layer
def test_what_is_kept_for_frozen_weights_is_recomputed_when_they_change(name: str) -> None:
    made = layer(name).requires_grad_(False).eval()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    first = made(x)
    assert torch.equal(made(x), first)
    assert made._cache._held is not None
    with torch.no_grad():
        made.weight.add_(torch.randn_like(made.weight))
    assert not torch.allclose(made(x), first)


@every_layer
def test_a_network_of_such_layers_is_a_contraction(name: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2, padding=1),
        nn.ReLU(), nn.Conv2d(4, 2, 1),
    )  # fmt: skip
    expression = f"{name[:-1]}, bn=false)" if "(" in name else f"{name}(bn=false)"
    made = apply_defense(model, expression).double()
    x, y = torch.randn(2, 8, 3, 6, 6, dtype=torch.float64)
    after = (made(x) - made(y)).flatten(1).norm(dim=1)
    assert (after <= (x - y).flatten(1).norm(dim=1) * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"padding": 0}, r"its padding is \(0, 0\)"),
        ({"kernel_size": 1, "padding": 1}, r"its padding is \(1, 1\)"),
        ({"padding": 1, "padding_mode": "reflect"}, "reflect"),
    ],
)
@pytest.mark.parametrize("name", ["bro", "lot", "soc"])
def test_other_convolutions_are_refused_by_name_and_reason(
    name: str, changes: dict[str, Any], reason: str
) -> None:
    conv = nn.Conv2d(**{"in_channels": 3, "out_channels": 4, "kernel_size": 3, **changes})
    with pytest.raises(UserError, match=rf"layer '0', Conv2d.*{name.title()} cannot .*{reason}"):
        apply_defense(nn.Sequential(conv), name)
