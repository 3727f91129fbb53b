"""Bounds of layers hold against the dense matrices of the layers, and are not much larger."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.backbones.lipschitz_convnet import (
    FirstChannels,
    Householder,
    L2Pool,
    MaxMin,
    ZeroChannels,
)
from robench.base import LayerBound
from robench.certificates.layers import bound_of
from robench.errors import UserError
from robench.layers.block_reflector import BlockReflectorConv2d
from robench.layers.cayley import CayleyConv2d
from robench.layers.convnorm import ConvNorm2d
from robench.layers.polar import PolarConv2d
from robench.layers.residual import LipschitzResidual2d
from robench.layers.skew import SkewConv2d
from robench.models.build import Normalize

Shape = tuple[int, ...]


def built(make: type[nn.Module], *args: object, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return make(*args, **options).double().eval().requires_grad_(False)


def jacobian(layer: nn.Module, x: Tensor) -> Tensor:
    found = torch.autograd.functional.jacobian(lambda v: layer(v[None])[0].flatten(), x)
    assert isinstance(found, Tensor)
    return found.flatten(1)


def norm_at(layer: nn.Module, x: Tensor) -> float:
    return float(torch.linalg.matrix_norm(jacobian(layer, x), ord=2))


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


convolutions = st.builds(
    dict,
    kernel_size=st.sampled_from([1, 2, 3, (3, 1)]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
)


@settings(deadline=None, max_examples=40)
@given(convolutions, st.integers(5, 8), st.integers(0, 99))
def test_a_convolution_s_bound_is_above_the_norm_of_its_matrix(
    options: dict[str, object], side: int, seed: int
) -> None:
    layer = built(nn.Conv2d, 4, 6, seed=seed, **options)
    found, exact = bound_of(layer, (4, side, side)), norm_at(layer, normal(4, side, side))
    assert exact <= found.norm
    assert found.norm <= found.absolute


def test_where_pixels_wrap_around_the_bound_of_a_convolution_is_its_norm() -> None:
    layer = built(nn.Conv2d, 4, 6, 3, padding=1, padding_mode="circular")
    exact = norm_at(layer, normal(4, 6, 6))
    assert exact <= bound_of(layer, (4, 6, 6)).norm <= 1.0001 * exact


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (built(nn.Linear, 7, 5), (7,)),
        (built(Normalize, (0.4, 0.5), (0.2, 0.3)), (2, 4, 4)),
        (built(nn.MaxPool2d, 2), (3, 6, 6)),
        (built(nn.MaxPool2d, 3, stride=1), (3, 6, 6)),
        (built(nn.AvgPool2d, 2), (3, 6, 6)),
        (built(nn.AvgPool2d, 3, stride=2), (3, 7, 7)),
        (built(nn.AdaptiveAvgPool2d, 1), (3, 5, 4)),
        (built(nn.AdaptiveMaxPool2d, 1), (3, 5, 4)),
        (built(nn.LeakyReLU, 2.0), (5,)),
        (built(nn.ReLU), (5,)),
        (built(MaxMin), (4, 3, 3)),
        (built(Householder, 4), (4, 3, 3)),
        (built(FirstChannels, 2), (4, 3, 3)),
        (built(ZeroChannels, 6, 4), (3, 5, 5)),
        (built(nn.PixelUnshuffle, 2), (2, 4, 4)),
        (built(L2Pool, 2), (3, 4, 6)),
        (built(CayleyConv2d, 4, 4, 3, padding=1), (4, 6, 6)),
        (built(CayleyConv2d, 2, 8, 3, stride=2, padding=1), (2, 6, 6)),
        (built(BlockReflectorConv2d, 4, 4, 3, padding=1), (4, 6, 6)),
        (built(BlockReflectorConv2d, 2, 9, 3, stride=2, padding=1), (2, 5, 5)),
        (built(PolarConv2d, 4, 4, 3, padding=1), (4, 6, 6)),
        (built(SkewConv2d, 4, 4, 3, padding=1), (4, 6, 6)),
        (built(SkewConv2d, 4, 2, 3, stride=2, padding=1, degree=8), (4, 5, 5)),
        (built(ConvNorm2d, 3, 4, 3, padding=1, affine=False), (3, 6, 6)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_no_gradient_of_a_layer_is_longer_than_its_bound(layer: nn.Module, shape: Shape) -> None:
    bound = bound_of(layer, shape).norm
    norms = [norm_at(layer, 3 * normal(*shape, seed=seed)) for seed in range(5)]
    assert max(norms) <= bound * (1 + 1e-12)
    assert max(norms) >= 0.4 * bound


@pytest.mark.parametrize("smoothness", ["diagonal", "norm"])
def test_a_residual_block_keeps_distances(smoothness: str) -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    layer = built(LipschitzResidual2d, conv, smoothness)
    assert bound_of(layer, (3, 5, 5)).norm == pytest.approx(1, abs=1e-6)
    assert norm_at(layer, normal(3, 5, 5)) <= 1 + 1e-9


def test_a_residual_block_that_steps_too_far_has_a_larger_bound() -> None:
    layer = built(LipschitzResidual2d, nn.Conv2d(3, 3, 3, padding=1, bias=False), "norm")
    honest = layer._inverse
    layer._inverse = lambda size: 3 * honest(size)
    bound = bound_of(layer, (3, 5, 5)).norm
    assert bound == pytest.approx(5, rel=0.01)
    exact = max(norm_at(layer, normal(3, 5, 5, seed=seed)) for seed in range(5))
    assert 1.1 < exact <= bound


def test_a_batch_norm_is_bounded_by_its_largest_gain() -> None:
    layer = built(nn.BatchNorm2d, 3)
    layer.running_var.copy_(torch.tensor([0.25, 1, 4]))
    layer.weight.copy_(torch.tensor([1, -3, 2]))
    exact = norm_at(layer, normal(3, 4, 4))
    assert exact <= bound_of(layer, (3, 4, 4)).norm <= exact * (1 + 1e-8)


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (nn.GroupNorm(1, 3), "no bound is proved for a GroupNorm"),
        (nn.BatchNorm2d(3, track_running_stats=False), "statistics of its batch"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "repeats pixels"),
        (nn.MaxPool2d(2, dilation=2), "dilated"),
        (nn.AvgPool2d(2, padding=1), "does not divide by the number of its pixels"),
        (nn.AdaptiveAvgPool2d(2), "may overlap"),
    ],
)
def test_what_has_no_bound_is_refused(layer: nn.Module, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        bound_of(layer.double().eval(), (3, 6, 6))


class Boastful(CayleyConv2d):
    """Is larger than it states by one percent."""

    def forward(self, input: Tensor) -> Tensor:
        return 1.01 * super().forward(input)


def test_unsound_a_layer_that_states_too_small_an_operator_is_refused() -> None:
    layer = built(Boastful, 4, 4, 3, padding=1)
    with pytest.raises(UserError, match=r"at least 1\.01, more than the 1 that it states"):
        bound_of(layer, (4, 6, 6))


class Boasting(nn.Module):
    """A layer of constant 2 that states 1."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.relu()

    def layer_bound(self, shape: Shape) -> LayerBound:
        return LayerBound(norm=1.0)


def test_unsound_a_layer_that_states_too_small_a_bound_is_refused() -> None:
    with pytest.raises(UserError, match="at least 2, more than the 1 that it states"):
        bound_of(built(Boasting), (4, 6, 6))
