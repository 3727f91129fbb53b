"""Overlaps of filters with their shifts, against a plain loop and known orthogonal kernels."""

from typing import Any

import pytest
import torch
from support import dense
from torch import Tensor, nn

from robench.layers.circular import on_torus, symbol
from robench.layers.overlaps import orthogonality_gap, overlaps


def by_loops(weight: Tensor, stride: tuple[int, int], groups: int) -> dict[tuple[int, ...], float]:
    """Return G[o, o', l1, l2] for filters of one group, every lag in output pixels."""
    out, _, kh, kw = weight.shape
    rows = out // groups
    found: dict[tuple[int, ...], float] = {}
    for o in range(out):
        for p in range(o // rows * rows, o // rows * rows + rows):
            for a in range(-kh, kh + 1):
                for b in range(-kw, kw + 1):
                    total = 0.0
                    for t in range(kh):
                        for u in range(kw):
                            v, w = t + stride[0] * a, u + stride[1] * b
                            if 0 <= v < kh and 0 <= w < kw:
                                total += float(weight[p, :, t, u] @ weight[o, :, v, w])
                    found[o, p, a, b] = total
    return found


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("groups", [1, 2])
def test_they_are_the_inner_products_of_shifted_filters(
    stride: tuple[int, int], groups: int
) -> None:
    weight = torch.randn(4, 3, 3, 2, dtype=torch.float64)
    found = overlaps(weight, stride=stride, groups=groups)
    middle = (found.shape[-2] // 2, found.shape[-1] // 2)
    for (o, p, a, b), expected in by_loops(weight, stride, groups).items():
        group, row, column = o // (4 // groups), o % (4 // groups), p % (4 // groups)
        i, j = middle[0] + a, middle[1] + b
        inside = 0 <= i < found.shape[-2] and 0 <= j < found.shape[-1]
        value = float(found[group, row, column, i, j]) if inside else 0.0
        assert abs(value - expected) < 1e-12


def test_their_absolute_sum_bounds_the_operator() -> None:
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    bound = overlaps(weight)[0].abs().sum((1, 2, 3)).max()
    norm = torch.linalg.svdvals(symbol(on_torus(weight, (16, 16)))).max()
    assert norm.square() <= bound


@pytest.mark.parametrize(
    ("changes", "n"),
    [
        ({}, 5),
        ({"stride": 2}, 6),
        ({"stride": (1, 2)}, 6),
        ({"groups": 2}, 5),
        ({"groups": 2, "stride": 2}, 6),
        ({"kernel_size": (2, 3), "padding": (0, 1), "stride": (2, 1)}, 6),
        ({"dilation": 2, "padding": 2, "in_channels": 2, "out_channels": 2}, 9),
        ({"out_channels": 6, "in_channels": 2}, 5),
        ({"out_channels": 20, "in_channels": 2, "stride": 2}, 6),
        ({"out_channels": 12, "groups": 2}, 5),
        ({"out_channels": 40, "groups": 2, "stride": 2}, 6),
    ],
    ids=str,
)
def test_the_gap_is_that_of_the_dense_operator_from_orthonormal_rows_or_columns(
    changes: dict[str, Any], n: int
) -> None:
    options = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, **changes}
    conv = nn.Conv2d(padding_mode="circular", bias=False, **options).double()
    matrix = dense(conv, conv.in_channels, n)
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    eye = torch.eye(len(wide), dtype=torch.float64)
    pixels = n * n / (conv.stride[0] * conv.stride[1])  # each sees the same overlaps
    expected = (wide @ wide.T - eye).square().sum() / pixels
    torch.testing.assert_close(orthogonality_gap(conv).square().sum(), expected)


def delta(outputs: int, inputs: int, stride: int, **changes: Any) -> nn.Conv2d:
    """Return a convolution whose filters each copy one pixel of one channel."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False, **changes).double()
    with torch.no_grad():
        conv.weight.zero_()
        for o in range(outputs):
            i, phase = o % inputs, o // inputs
            conv.weight[o, i, 1 + phase // 2 % 2, 1 + phase % 2] = 1
    return conv


@pytest.mark.parametrize(("outputs", "inputs", "stride"), [(4, 4, 1), (3, 5, 1), (8, 8, 2)])
def test_kernels_that_copy_pixels_have_no_gap(outputs: int, inputs: int, stride: int) -> None:
    assert orthogonality_gap(delta(outputs, inputs, stride)).abs().max() == 0


def test_copies_of_all_pixels_of_a_stride_have_no_gap() -> None:
    assert orthogonality_gap(delta(16, 4, 2)).abs().max() == 0


def test_more_outputs_than_inputs_seen_compares_columns() -> None:
    conv = nn.Conv2d(2, 6, 1, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(torch.linalg.qr(torch.randn(6, 2).double())[0][:, :, None, None])
    gap = orthogonality_gap(conv)
    assert gap.shape == (1, 2, 2, 1, 1)
    assert gap.abs().max() < 1e-12
    strided = nn.Conv2d(2, 6, 1, 2, bias=False).double()
    strided.weight = conv.weight
    assert orthogonality_gap(strided).abs().max() < 1e-12, "three of four pixels have no column"


def test_groups_are_compared_apart() -> None:
    conv = nn.Conv2d(4, 4, 3, groups=2, bias=False).double()
    nn.init.zeros_(conv.weight)
    with torch.no_grad():
        conv.weight[torch.arange(4), torch.tensor([0, 1, 0, 1]), 1, 1] = 1
    assert orthogonality_gap(conv).abs().max() == 0


@pytest.mark.parametrize("changes", [{}, {"stride": 2}, {"out_channels": 30}, {"dilation": 2}])
def test_random_kernels_have_a_gap(changes: dict[str, Any]) -> None:
    options = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, **changes}
    assert orthogonality_gap(nn.Conv2d(**options)).abs().max() > 0.05


@pytest.mark.parametrize("stride", [1, 2])
def test_orthogonal_kernels_of_another_library_have_no_gap(stride: int) -> None:
    layers = pytest.importorskip("orthogonium.layers.conv.AOC")
    torch.manual_seed(0)
    conv = layers.AdaptiveOrthoConv2d(8, 16, 3, stride=stride, padding=1, bias=False)
    for _ in range(3):
        conv(torch.rand(1, 8, 8, 8))
    assert orthogonality_gap(conv.eval()).abs().max() < 1e-4


def test_a_dilation_moves_the_overlaps_apart_and_leaves_their_values() -> None:
    conv = nn.Conv2d(3, 3, 3, dilation=2, bias=False).double()
    plain = nn.Conv2d(3, 3, 3, bias=False).double()
    plain.weight = conv.weight
    found, close = orthogonality_gap(conv), orthogonality_gap(plain)
    assert found.shape[-2:] == (9, 9)
    torch.testing.assert_close(found[..., ::2, ::2], close, atol=1e-14, rtol=0)
    assert found[..., 1::2, :].abs().max() == 0


def test_the_gap_has_a_gradient() -> None:
    for stride, outputs in [(1, 2), (2, 2), (2, 9)]:
        conv = nn.Conv2d(2, outputs, 3, stride, bias=False).double()
        before = conv.weight.detach().clone().requires_grad_()

        def gap(weight: Tensor, conv: nn.Conv2d = conv) -> Tensor:
            conv._parameters["weight"] = weight  # type: ignore[assignment]
            return orthogonality_gap(conv)

        assert torch.autograd.gradcheck(gap, (before,), fast_mode=True)
