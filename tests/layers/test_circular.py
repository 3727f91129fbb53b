"""Circular operators, frequency by frequency, against dense linear algebra."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import Tensor, nn

from robench.layers.circular import (
    circular_operator,
    gram_bound,
    kernel_gram_bound,
    kernel_of,
    kernel_on_torus,
    on_torus,
    repeats_pixels,
    symbol,
    torus_of,
)


def conv(**changes: Any) -> nn.Conv2d:
    options = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1, "bias": False}
    layer = nn.Conv2d(**{**options, **changes})  # type: ignore[arg-type]
    return layer.double().requires_grad_(False)


def values_of(matrices: Tensor, torus: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Return the singular values of all frequencies, those of the other half grid included."""
    m1, m2 = torus[0] // stride[0], torus[1] // stride[1]
    values = torch.linalg.svdvals(matrices).view(m1, m2 // 2 + 1, -1)
    twice = [j for j in range(m2 // 2 + 1) if 0 < j < (m2 + 1) // 2]
    return torch.cat([values.flatten(), values[:, twice].flatten()]).sort(descending=True)[0]


CIRCULAR: list[dict[str, Any]] = [
    {},
    {"in_channels": 6, "out_channels": 4},
    {"stride": 2},
    {"stride": (1, 2), "out_channels": 3},
    {"stride": 3, "kernel_size": 5, "padding": 2},
    {"groups": 2},
    {"groups": 2, "stride": 2, "out_channels": 4},
    {"dilation": 2, "padding": 2},
    {"kernel_size": 1, "padding": 0},
    {"kernel_size": (1, 3), "padding": (0, 1)},
    {"kernel_size": 2, "padding": "same"},
    {"kernel_size": 2, "stride": 2, "padding": 0},
    {"kernel_size": 4, "stride": 2, "padding": 1},
    {"kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 1)},
    {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 2, "groups": 2},
    {"kernel_size": 1, "stride": 2, "padding": 0},
]


@pytest.mark.parametrize("changes", CIRCULAR, ids=str)
def test_singular_values_are_those_of_the_dense_circular_operator(changes: dict[str, Any]) -> None:
    layer = conv(padding_mode="circular", **changes)
    kernel, stride = circular_operator(layer, (6, 6))
    found = values_of(symbol(kernel, stride, layer.groups), (6, 6), stride)
    exact = torch.linalg.svdvals(dense(layer, layer.in_channels, 6, 6))
    torch.testing.assert_close(found, exact, atol=1e-10, rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_the_torus_bounds_the_layer_that_pads_with_zeros(
    size: tuple[int, int], kernel: int, stride: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = conv(kernel_size=kernel, padding=kernel // 2, stride=stride)
    laid, steps = circular_operator(layer, size)
    norm = torch.linalg.svdvals(symbol(laid, steps)).max()
    assert torch.linalg.matrix_norm(dense(layer, 4, *size), ord=2) <= norm * (1 + 1e-12)


def test_sides_that_the_stride_does_not_divide_keep_all_pixels_on_a_circular_torus() -> None:
    layer = conv(padding_mode="circular", stride=2)
    assert torus_of(layer, (7, 6)) == ((7, 6), (1, 2))
    laid, steps = circular_operator(layer, (7, 6))
    norm = torch.linalg.svdvals(symbol(laid, steps)).max()
    assert torch.linalg.matrix_norm(dense(layer, 4, 7, 6), ord=2) <= norm * (1 + 1e-12)


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
    kernel=st.sampled_from([1, 2, 3]),
    stride=st.integers(2, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
)
def test_the_torus_bounds_the_layer_that_pads_circularly_whatever_the_stride(
    size: tuple[int, int], kernel: int, stride: int, dilation: int, groups: int
) -> None:
    torch.manual_seed(0)
    layer = conv(
        kernel_size=kernel, padding=dilation * (kernel - 1) // 2, stride=stride,
        dilation=dilation, groups=groups, padding_mode="circular",
    )  # fmt: skip
    laid, steps = circular_operator(layer, size)
    norm = torch.linalg.svdvals(symbol(laid, steps, groups)).max()
    assert torch.linalg.matrix_norm(dense(layer, 4, *size), ord=2) <= norm * (1 + 1e-12)


@pytest.mark.parametrize(
    ("mode", "stride", "size", "torus", "steps"),
    [
        ("zeros", 1, (6, 5), (8, 7), (1, 1)),
        ("zeros", 2, (6, 5), (8, 8), (2, 2)),
        ("zeros", 3, (6, 5), (9, 9), (3, 3)),
        ("circular", 1, (6, 5), (6, 5), (1, 1)),
        ("circular", 2, (6, 5), (6, 5), (2, 1)),
        ("circular", 3, (6, 5), (6, 5), (3, 1)),
    ],
)
def test_the_torus_holds_the_padded_input_in_whole_strides(
    mode: str, stride: int, size: tuple[int, int], torus: tuple[int, int], steps: tuple[int, int]
) -> None:
    assert torus_of(conv(padding_mode=mode, stride=stride), size) == (torus, steps)


@pytest.mark.parametrize("torus", [(6, 6), (4, 8), (9, 6)])
@pytest.mark.parametrize("stride", [(1, 1), (1, 2)])
def test_a_kernel_and_its_symbol_say_the_same(
    torus: tuple[int, int], stride: tuple[int, int]
) -> None:
    kernel = torch.randn(4, 3, *torus, dtype=torch.float64)
    torch.testing.assert_close(kernel_of(symbol(kernel, stride), torus, stride), kernel)
    grouped = symbol(kernel, stride, groups=2)
    torch.testing.assert_close(kernel_of(grouped, torus, stride), kernel)


def test_a_kernel_wider_than_its_torus_is_added_up() -> None:
    kernel = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    laid = on_torus(kernel, (1, 1))
    torch.testing.assert_close(laid, kernel.sum((2, 3), keepdim=True))


MATRICES = torch.randn(9, 1, 6, 4, dtype=torch.complex128, generator=None)


def test_the_gram_bound_is_above_the_norm_and_falls_toward_it() -> None:
    exact = torch.linalg.svdvals(MATRICES).max()
    bounds = torch.stack([gram_bound(MATRICES, steps) for steps in range(1, 12)])
    assert (bounds >= exact * (1 - 1e-12)).all()
    assert (bounds.diff() <= 1e-12).all()
    torch.testing.assert_close(bounds[-1], exact, rtol=1e-3, atol=0)


@pytest.mark.parametrize("shape", [(5, 1, 4, 4), (5, 2, 3, 6), (5, 1, 6, 2)])
def test_the_gram_bound_exceeds_the_norm_by_a_root_of_the_rank_at_most(
    shape: tuple[int, ...],
) -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(*shape, dtype=torch.complex128, generator=generator)
    exact = float(torch.linalg.svdvals(matrices).max())
    for steps in range(1, 8):
        ratio = float(gram_bound(matrices, steps)) / exact
        assert 1 - 1e-12 <= ratio <= min(shape[-2:]) ** (0.5 / 2**steps) + 1e-12


def test_the_gram_bound_of_one_singular_value_is_exact_in_a_single_step() -> None:
    matrix = torch.randn(3, 1, 4, 1, dtype=torch.complex128)
    matrix = matrix @ torch.randn(3, 1, 1, 5, dtype=torch.complex128)
    torch.testing.assert_close(
        gram_bound(matrix, 1), torch.linalg.svdvals(matrix).max(), atol=0, rtol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_gram_bound_scales_and_never_overflows(scale: float) -> None:
    found = gram_bound((MATRICES * scale).to(torch.complex64), 10)
    expected = float(gram_bound(MATRICES, 10)) * scale
    assert math.isclose(float(found), expected, rel_tol=1e-4)


def test_the_gram_bound_of_nothing_is_nothing() -> None:
    zero = torch.zeros(3, 1, 4, 4, dtype=torch.complex128, requires_grad=True)
    bound = gram_bound(zero)
    assert float(bound) < 1e-6
    (gradient,) = torch.autograd.grad(bound, zero)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("steps", [2, 6])
def test_the_gram_bound_has_a_gradient(steps: int) -> None:
    variable = MATRICES[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: gram_bound(m, steps), (variable,))


@settings(max_examples=40, deadline=None)
@given(
    out=st.sampled_from([2, 4, 8]),
    kernel=st.sampled_from([1, 2, 3, (1, 3)]),
    stride=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    mode=st.sampled_from(["zeros", "circular"]),
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    scale=st.sampled_from([0.0, 1e-18, 1.0, 1e3]),
    seed=st.integers(0, 99),
)
def test_the_bound_of_a_kernel_is_that_of_all_its_matrices_and_so_is_its_gradient(
    out: int, kernel: Any, stride: int, groups: int, mode: str, size: tuple[int, int],
    scale: float, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    padding = {1: 0, 2: 0, 3: 1}.get(kernel, (0, 1))
    layer = conv(
        out_channels=out, kernel_size=kernel, stride=stride, groups=groups, padding_mode=mode,
        padding=padding,
    )  # fmt: skip
    weight = (scale * layer.weight).detach().requires_grad_()
    laid, steps = kernel_on_torus(layer, weight, size)
    matrices = symbol(laid, steps, groups)
    found, expected = kernel_gram_bound(layer, weight, size), gram_bound(matrices)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    assert found.item() >= torch.linalg.svdvals(matrices).max().item() * (1 - 1e-12)
    frozen = kernel_gram_bound(layer, weight.detach(), size)
    assert torch.equal(found, frozen), "the same in training and evaluation"
    gradients = [torch.autograd.grad(y, weight)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "repeats"),
    [
        ({}, False),
        ({"padding": 3}, False),
        ({"padding_mode": "reflect"}, True),
        ({"padding_mode": "replicate"}, True),
        ({"padding_mode": "circular"}, False),
        ({"padding_mode": "circular", "padding": 2}, True),
    ],
)
def test_paddings_that_repeat_pixels_are_reported(changes: dict[str, Any], repeats: bool) -> None:
    assert (repeats_pixels(conv(**changes)) is not None) == repeats


@pytest.mark.parametrize(
    ("mode", "padding"), [("circular", 2), ("reflect", 1), ("replicate", 1), ("circular", (1, 2))]
)
def test_where_pixels_are_repeated_a_kernel_that_copies_them_expands(
    mode: str, padding: Any
) -> None:
    layer = conv(in_channels=1, out_channels=1, padding_mode=mode, padding=padding)
    layer.weight.zero_()
    layer.weight[..., 0, 0] = 1
    assert repeats_pixels(layer) is not None
    assert torch.linalg.matrix_norm(dense(layer, 1, 5, 5), ord=2) > 1.4


@pytest.mark.parametrize(
    "changes",
    [
        {"padding": "same"},
        {"padding": "same", "kernel_size": 4},
        {"padding": 2, "dilation": 2},
        {"padding": 0},
        {"padding": (1, 0), "kernel_size": (3, 1)},
    ],
    ids=str,
)
def test_circular_paddings_within_the_kernels_reach_repeat_none(changes: dict[str, Any]) -> None:
    layer = conv(padding_mode="circular", **changes)
    assert repeats_pixels(layer) is None
    laid, steps = circular_operator(layer, (6, 6))
    norm = torch.linalg.svdvals(symbol(laid, steps)).max()
    assert torch.linalg.matrix_norm(dense(layer, 4, 6, 6), ord=2) <= norm * (1 + 1e-12)
