"""Defenses that use other libraries: their layers have the declared properties."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.layers.overlaps import orthogonality_gap
from robench.registry import defenses

LIBRARIES = {"aoc": "orthogonium", "torchlip": "deel.torchlip"}


@pytest.fixture(params=LIBRARIES)
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(LIBRARIES[request.param])
    return str(request.param)


def conv(**changes: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    options = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1, **changes}
    return nn.Conv2d(**options)  # type: ignore[arg-type]


def defended(name: str, layer: nn.Conv2d) -> nn.Module:
    """Return the layer alone, its power iterations settled."""
    model = apply_defense(nn.Sequential(layer), f"{name}(bn=false)").train()
    for _ in range(4):
        model(torch.randn(2, layer.in_channels, 6, 6))
    return model.eval()


def singular_values(model: nn.Module, inputs: int, height: int, width: int) -> Tensor:
    basis = torch.eye(inputs * height * width).view(-1, inputs, height, width)
    with torch.no_grad():
        matrix = (model(basis) - model(torch.zeros_like(basis[:1]))).flatten(1).double()
    return torch.linalg.svdvals(matrix)


ORTHOGONAL: list[dict[str, Any]] = [
    {},
    {"out_channels": 4},
    {"in_channels": 6, "out_channels": 4},
    {"groups": 2},
    {"groups": 4, "out_channels": 4},
    {"in_channels": 1, "out_channels": 1},
    {"dilation": 2, "padding": 2},
    {"kernel_size": 1, "padding": 0},
    {"kernel_size": 1, "padding": 0, "groups": 4, "out_channels": 4},
    {"kernel_size": 1, "padding": 0, "out_channels": 3},
]


@pytest.mark.parametrize("changes", ORTHOGONAL, ids=str)
def test_aoc_is_orthogonal_on_a_torus(changes: dict[str, Any]) -> None:
    pytest.importorskip("orthogonium")
    layer = conv(padding_mode="circular", **changes)
    values = singular_values(defended("aoc", layer), layer.in_channels, 6, 6)
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-5, rtol=0)


STRIDED: list[dict[str, Any]] = [
    {"stride": 2},
    {"stride": 2, "out_channels": 12},
    {"stride": 2, "kernel_size": 2, "padding": 0},
    {"stride": 2, "kernel_size": 2, "padding": 0, "groups": 4, "out_channels": 4},
    {"stride": 2, "kernel_size": 2, "padding": 0, "groups": 4, "out_channels": 12},
    {"groups": 2, "stride": 2, "out_channels": 4},
]


@pytest.mark.parametrize("changes", ORTHOGONAL + STRIDED, ids=str)
def test_kernels_of_aoc_have_no_gap(changes: dict[str, Any]) -> None:
    pytest.importorskip("orthogonium")
    model = defended("aoc", conv(**changes))
    inner = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    assert orthogonality_gap(inner).abs().max() < 1e-5


def test_a_strided_kernel_of_one_pixel_keeps_what_it_sees() -> None:
    pytest.importorskip("orthogonium")
    model = defended("aoc", conv(kernel_size=1, padding=0, stride=2))
    values = singular_values(model, 4, 6, 6)
    torch.testing.assert_close(values[:36], torch.ones(36).double(), atol=1e-5, rtol=0)
    assert values[36:].max() < 1e-6


@settings(max_examples=12, deadline=None)
@given(
    library=st.sampled_from(sorted(LIBRARIES)),
    outputs=st.sampled_from([2, 4, 6]),
    kernel=st.sampled_from([1, 2, 3]),
    stride=st.integers(1, 2),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
)
def test_with_zero_padding_the_norm_is_at_most_one(
    library: str, outputs: int, kernel: int, stride: int, size: tuple[int, int]
) -> None:
    pytest.importorskip(LIBRARIES[library])
    layer = conv(out_channels=outputs, kernel_size=kernel, stride=stride, padding=kernel // 2)
    if kernel == 1 or stride > kernel:
        layer = conv(out_channels=outputs, kernel_size=kernel, padding=kernel // 2)
    assert singular_values(defended(library, layer), 4, *size).max() <= 1 + 1e-4


@pytest.mark.parametrize("size", [(5, 6), (5, 5), (3, 4)])
@pytest.mark.parametrize("stride", [2, 3])
def test_with_circular_padding_the_norm_is_at_most_one_on_any_size_or_it_is_refused(
    name: str, stride: int, size: tuple[int, int]
) -> None:
    layer = conv(out_channels=40, padding_mode="circular", stride=stride)
    try:
        model = defended(name, layer)
    except UserError:
        return
    assert singular_values(model, 4, *size).max() <= 1 + 1e-4


@pytest.mark.parametrize("n", [5, 6])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"padding": 0},
        {"padding": 3},
        {"padding": "same"},
        {"stride": 2},
        {"stride": 2, "padding": 0},
        {"stride": 3, "padding": 2},
        {"kernel_size": 2},
        {"kernel_size": 4, "stride": 2},
        {"kernel_size": 1, "padding": 0},
        {"kernel_size": 1, "padding": 0, "stride": 2},
        {"kernel_size": 1, "padding": 1},
        {"bias": False},
    ],
    ids=str,
)
def test_results_have_the_shape_of_the_convolution(
    name: str, changes: dict[str, Any], n: int
) -> None:
    layer, x = conv(**changes), torch.randn(2, 4, n, n + 1)
    assert defended(name, layer)(x).shape == layer(x).shape


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_aoc_refuses_only_the_groups_that_the_library_cannot_build(
    kernel: int, stride: int
) -> None:
    pytest.importorskip("orthogonium")
    aoc = defenses.build("aoc")
    for groups, inputs, outputs in itertools.product([1, 2, 3], [1, 2, 4], [1, 3, 4]):
        layer = nn.Conv2d(groups * inputs, groups * outputs, kernel, stride, groups=groups)
        if aoc.unsupported(layer) is not None:  # type: ignore[attr-defined]
            with pytest.raises((RuntimeError, ValueError)):
                aoc.replace_conv(layer)(torch.zeros(1, layer.in_channels, 6, 6))
        else:
            aoc.replace_conv(layer)(torch.zeros(1, layer.in_channels, 6, 6))


@pytest.mark.parametrize(
    ("inputs", "outputs", "groups"), [(4, 12, 4), (4, 20, 4), (8, 40, 4), (4, 20, 2), (4, 8, 2)]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_groups_of_aoc_run_or_are_refused_before_anything_is_changed(
    inputs: int, outputs: int, groups: int, stride: int
) -> None:
    pytest.importorskip("orthogonium")
    layer = conv(in_channels=inputs, out_channels=outputs, groups=groups, stride=stride)
    x = torch.randn(2, inputs, 6, 6)
    try:
        model = apply_defense(nn.Sequential(layer), "aoc(bn=false)")
    except UserError:
        return
    assert model(x).shape == layer(x).shape


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("aoc", {"kernel_size": (1, 3), "padding": (0, 1)}, "square kernels, strides and dilations"),
    ("aoc", {"stride": (1, 2)}, "square kernels, strides and dilations"),
    ("aoc", {"dilation": (1, 2), "padding": (1, 2)}, "square kernels, strides and dilations"),
    ("aoc", {"kernel_size": 2, "stride": 3}, "its stride 3 is larger than its kernel 2"),
    ("aoc", {"stride": 2, "dilation": 2, "padding": 2}, "both a stride and a dilation"),
    ("aoc", {"stride": 2, "out_channels": 4, "groups": 4}, "fewer than two channels per group"),
    ("aoc", {"stride": 2, "out_channels": 20, "groups": 4}, "two kernels into groups"),
    ("aoc", {"padding_mode": "reflect"}, "padding_mode='reflect' repeats pixels"),
    ("aoc", {"padding_mode": "circular", "padding": 2}, "circular padding is wider"),
    ("torchlip", {"groups": 2}, "it has 2 groups, only 1 is supported"),
    ("torchlip", {"dilation": 2, "padding": 2}, "its dilation is 2x2, only 1 is supported"),
    ("torchlip", {"padding_mode": "replicate"}, "padding_mode='replicate' repeats pixels"),
]


@pytest.mark.parametrize(("library", "changes", "reason"), REFUSED)
def test_what_they_cannot_replace_is_refused_by_name_and_reason(
    library: str, changes: dict[str, Any], reason: str
) -> None:
    pytest.importorskip(LIBRARIES[library])
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(conv(**changes)))
    entry = library.capitalize()
    with pytest.raises(UserError, match=rf"layer '1\.0', Conv2d.*{entry} cannot .*{reason}"):
        apply_defense(model, library)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_another_dtype_run_or_are_refused(name: str, dtype: torch.dtype) -> None:
    plain = nn.Sequential(conv()).to(dtype)
    try:
        model = apply_defense(plain, f"{name}(bn=false)")
    except UserError:
        return
    x = torch.randn(2, 4, 6, 6).to(dtype)
    assert model(x).dtype == dtype


def test_a_library_s_layer_learns(name: str) -> None:
    model, x = defended(name, conv()).train(), torch.randn(8, 4, 6, 6)
    target = torch.randn(8, 6, 6, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    model(x)
    assert singular_values(model.eval(), 4, 5, 5).max() <= 1 + 1e-4
