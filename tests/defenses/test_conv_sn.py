"""Division by the norm of the convolution."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import Tensor, nn

from robench import UserError, apply_defense
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


@settings(max_examples=25, deadline=None)
@given(
    norm=st.sampled_from(["gram", "svd"]),
    outputs=st.sampled_from([2, 4, 8]),
    kernel=st.integers(1, 3),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    mode=st.sampled_from(["zeros", "circular"]),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
)
def test_the_norm_is_at_most_one_for_any_geometry_size_and_padding(
    norm: Norm,
    outputs: int,
    kernel: int,
    stride: tuple[int, int],
    dilation: int,
    groups: int,
    mode: str,
    size: tuple[int, int],
) -> None:
    made = ConvSN2d(
        4, outputs, kernel, norm=norm, stride=stride, dilation=dilation, groups=groups,
        padding=dilation * (kernel - 1) // 2, padding_mode=mode,
    ).double()  # fmt: skip
    assert torch.linalg.matrix_norm(dense(made, 4, *size), ord=2) <= 1 + 1e-9


@pytest.mark.parametrize("norm", ["gram", "svd"])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_it_is_the_convolution_divided_by_a_number(norm: Norm, scale: float) -> None:
    made, x = layer(norm), torch.randn(2, 4, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        made.weight.mul_(scale)
    plain = nn.functional.conv2d(x, made.weight, padding=1)
    torch.testing.assert_close(made(x) * made.sigma((5, 6)) / scale, plain / scale)


def test_a_kernel_of_one_pixel_is_divided_by_its_matrix_norm() -> None:
    made = ConvSN2d(4, 6, 1, norm="svd", bias=False).double()
    expected = torch.linalg.matrix_norm(made.weight.flatten(1), ord=2)
    torch.testing.assert_close(made.sigma((5, 5)), expected)


def test_a_strided_layer_is_divided_by_no_more_than_the_one_without_stride() -> None:
    assert layer("svd", stride=2).sigma((6, 6)) <= layer("svd").sigma((6, 6)) + 1e-12


@pytest.mark.parametrize("norm", ["gram", "svd"])
def test_gradients_are_those_of_finite_differences(norm: Norm) -> None:
    made = layer(norm, stride=2)
    x = torch.randn(1, 4, 4, 3, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, weight: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(made, {"weight": weight}, (x,))
        return out

    assert torch.autograd.gradcheck(function, (x, made.weight), fast_mode=True)


@pytest.mark.parametrize("norm", ["gram", "svd"])
def test_a_kernel_of_zeros_gives_zeros_and_finite_gradients(norm: Norm) -> None:
    made = layer(norm).float()
    nn.init.zeros_(made.weight)
    out = made(torch.randn(2, 4, 5, 5))
    out.sum().backward()
    assert (out == 0).all()
    assert made.weight.grad is not None
    assert made.weight.grad.isfinite().all()


def test_the_division_kept_for_frozen_weights_belongs_to_size_and_weight() -> None:
    free = layer("gram")
    frozen = copy.deepcopy(free).requires_grad_(False)
    for n in (4, 6, 4):
        x = torch.randn(2, 4, n, n, dtype=torch.float64)
        assert torch.equal(frozen(x), free(x))
    with torch.no_grad():
        frozen.weight[0].mul_(-3)
        free.weight[0].mul_(-3)
    assert torch.equal(frozen(x), free(x))


@pytest.mark.parametrize("norm", ["gram", "svd"])
def test_a_defended_network_without_norm_layers_is_a_contraction(norm: Norm) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2), nn.ReLU()
    )
    made = apply_defense(model, f"conv_sn(norm='{norm}', bn=false)").double()
    x, y = torch.randn(2, 8, 3, 6, 6, dtype=torch.float64)
    after = (made(x) - made(y)).flatten(1).norm(dim=1)
    assert (after <= (x - y).flatten(1).norm(dim=1)).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"padding_mode": "reflect"}, "padding_mode='reflect' repeats pixels"),
        ({"padding_mode": "replicate"}, "padding_mode='replicate' repeats pixels"),
        ({"padding_mode": "circular", "padding": 2}, "wider than the kernel's reach"),
    ],
)
def test_paddings_that_repeat_pixels_are_refused_by_name_and_reason(
    changes: dict[str, Any], reason: str
) -> None:
    options = {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": 1, **changes}
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Sequential(nn.Conv2d(**options)))
    with pytest.raises(UserError, match=rf"layer '1.0', Conv2d.*ConvSN cannot .*{reason}"):
        apply_defense(model, "conv_sn")
