"""Convolutions by FFT are plain convolutions of the wrapped image."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.layers.cayley import CayleyConv2d
from robench.layers.convnorm import ConvNorm2d
from robench.models.wrapped_conv import WrappedConv2d, without_transforms


def built(kind: type[nn.Module], *args: Any, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return kind(*args, **options).double().eval().requires_grad_(False)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([(CayleyConv2d, {}), (ConvNorm2d, {"affine": False})]),
    st.integers(1, 5),
    st.integers(0, 2),
    st.integers(1, 3),
    st.integers(4, 8),
    st.sampled_from([1, 2]),
)
def test_it_computes_what_the_layer_computes(
    kind: tuple[type[nn.Module], dict[str, Any]],
    kernel: int, padding: int, stride: int, side: int, groups: int,
) -> None:  # fmt: skip
    padding = max(min(padding, kernel - 1), kernel - side)
    options = {"stride": stride, "padding": padding, "groups": groups, **kind[1]}
    layer, x = built(kind[0], 4, 6, kernel, **options), normal(2, 4, side, side)
    plain = without_transforms(layer, x)
    assert isinstance(plain, WrappedConv2d)
    torch.testing.assert_close(plain(x), layer(x))


def test_a_kernel_of_one_pixel_stays_one() -> None:
    plain = without_transforms(built(CayleyConv2d, 4, 4, 1), normal(1, 4, 8, 8))
    assert isinstance(plain, WrappedConv2d)
    assert plain.conv.weight.shape == (4, 4, 1, 1)


@pytest.mark.parametrize(
    "layer",
    [
        built(nn.Conv2d, 4, 4, 3, padding=1),
        built(nn.BatchNorm2d, 4),
        built(ConvNorm2d, 4, 4, 3, padding=1),  # its affine is no part of its operator
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    assert without_transforms(layer, normal(1, 4, 6, 6)) is None


class Doubled(CayleyConv2d):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def test_what_does_not_compute_the_same_is_not_returned() -> None:
    assert without_transforms(built(Doubled, 4, 4, 3, padding=1), normal(1, 4, 6, 6)) is None
