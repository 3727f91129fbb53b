"""AOL's rescaled kernels: the norm of the convolution is at most 1 for any geometry."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense
from torch import Tensor, nn

from robench import UserError, apply_defense
from robench.layers.almost_orthogonal import AlmostOrthogonal


def defended(scale: float = 1.0, **changes: Any) -> nn.Module:
    options = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1, **changes}
    torch.manual_seed(0)
    conv = nn.Conv2d(**options).double()  # type: ignore[arg-type]
    with torch.no_grad():
        conv.weight.mul_(scale)
    return apply_defense(nn.Sequential(conv), "aol(bn=false)")


def norm(layer: nn.Module, *size: int, inputs: int = 4) -> float:
    return float(torch.linalg.matrix_norm(dense(layer, inputs, *size), ord=2))


@settings(max_examples=25, deadline=None)
@given(
    outputs=st.sampled_from([2, 4, 8]),
    kernel=st.integers(1, 3),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    mode=st.sampled_from(["zeros", "circular"]),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_the_norm_is_at_most_one_for_any_geometry_size_and_padding(
    outputs: int,
    kernel: int,
    stride: tuple[int, int],
    dilation: int,
    groups: int,
    mode: str,
    size: tuple[int, int],
    scale: float,
) -> None:
    layer = defended(
        scale, out_channels=outputs, kernel_size=kernel, stride=stride, dilation=dilation,
        padding=dilation * (kernel - 1) // 2, groups=groups, padding_mode=mode,
    )  # fmt: skip
    assert norm(layer, *size) <= 1 + 1e-9


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_one_channel_of_positive_weights_has_norm_one_exactly(kernel: int) -> None:
    weight = torch.rand(1, 1, kernel, kernel, dtype=torch.float64)
    found = AlmostOrthogonal(1)(weight)
    # The overlaps sum up to the square of the weights' sum, which is the gain for a constant.
    torch.testing.assert_close(found.sum(), torch.ones((), dtype=torch.float64))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-6, 1e-2, 1e6]))
def test_the_scale_of_the_kernel_does_not_matter(seed: int, scale: float) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(5, 3, 3, 2, dtype=torch.float64)
    change = AlmostOrthogonal(1)
    torch.testing.assert_close(change(scale * weight), change(weight), atol=1e-12, rtol=0)
    torch.testing.assert_close(change(-weight), -change(weight), atol=0, rtol=0)


def loop(weight: Tensor) -> Tensor:
    """Rescale by the definition, in plain Python: taps, shifts, channels."""
    _, inputs, kh, kw = weight.shape
    result = weight.clone()
    for i in range(inputs):
        total = 0.0
        for j in range(inputs):
            for a in range(1 - kh, kh):
                for b in range(1 - kw, kw):
                    overlap = 0.0
                    for t in range(kh):
                        for u in range(kw):
                            if 0 <= t + a < kh and 0 <= u + b < kw:
                                overlap += float(weight[:, i, t, u] @ weight[:, j, t + a, u + b])
                    total += abs(overlap)
        result[:, i] /= total**0.5
    return result


def test_it_is_its_definition() -> None:
    weight = torch.randn(4, 3, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(AlmostOrthogonal(1)(weight), loop(weight), atol=1e-12, rtol=0)


def test_groups_are_rescaled_apart() -> None:
    weight = torch.randn(6, 2, 3, 3, dtype=torch.float64)
    weight[:3] *= 100
    parts = [loop(weight[:3]), loop(weight[3:])]
    torch.testing.assert_close(AlmostOrthogonal(2)(weight), torch.cat(parts), atol=1e-12, rtol=0)


def test_a_library_rescales_the_other_side_of_the_kernel_by_the_same_formula() -> None:
    library = pytest.importorskip("orthogonium.layers.conv.AOL.aol")
    torch.manual_seed(0)
    weight = torch.randn(5, 3, 3, 3)
    theirs = library.AOLReparametrizer(3, 1)(weight.transpose(0, 1).contiguous())
    torch.testing.assert_close(AlmostOrthogonal(1)(weight), theirs.transpose(0, 1))


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_paddings_that_repeat_pixels_are_refused(mode: Any) -> None:
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode))
    with pytest.raises(UserError, match=rf"layer '1', Conv2d.*Aol cannot .*'{mode}' repeats"):
        apply_defense(model, "aol")
    wide = nn.Sequential(nn.Conv2d(3, 4, 3, padding=2, padding_mode="circular"))
    with pytest.raises(UserError, match=r"layer '0'.*its circular padding is wider"):
        apply_defense(wide, "aol")


def test_the_kernel_of_a_frozen_network_follows_its_changes() -> None:
    layer = defended().eval().requires_grad_(False)
    before = dense(layer, 4, 4)
    with torch.no_grad():
        next(p for name, p in layer.named_parameters() if "original" in name).neg_()
    torch.testing.assert_close(dense(layer, 4, 4), -before)
