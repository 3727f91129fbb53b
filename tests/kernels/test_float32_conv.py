"""Convolutions as products of windows or of pixels, and their image gradients as convolutions."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.kernels.float32_conv import (
    Float32Conv,
    can_replace,
    convolve,
    gathered,
    spread,
    suits,
)
from robench.kernels.small_maps import reach
from robench.layers.adopt import adopt

Pair = tuple[int, int]
GEOMETRIES = list(
    product([(3, 3), (1, 1), (2, 3)], [(1, 1), (2, 1)], [(0, 0), (1, 1), (1, 2)], [(1, 1), (2, 1)])
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(params=["one part", "an image at a time"])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "one part":
        monkeypatch.setattr("robench.kernels.float32_conv.ELEMENTS", 1)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.usefixtures("_parts")
def test_a_product_of_windows_is_the_convolution(
    kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, layout: torch.memory_format
) -> None:
    x = normal(3, 4, 6, 7).to(memory_format=layout)
    weight = normal(5, 4, *kernel, seed=1).to(memory_format=layout)
    wanted = F.conv2d(x, weight, None, stride, padding, dilation)
    torch.testing.assert_close(gathered(x, weight, stride, padding, dilation), wanted)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (2, 3), (4, 1)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.usefixtures("_parts")
def test_a_product_of_pixels_is_the_full_convolution(kernel: Pair, dilation: Pair) -> None:
    x, weight = normal(3, 4, 5, 6), normal(5, 4, *kernel, seed=1)
    wanted = F.conv2d(x, weight, None, 1, reach(weight, dilation), dilation)
    torch.testing.assert_close(spread(x, weight, dilation), wanted)


@pytest.mark.parametrize("side", [5, 8, 9])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_values_and_gradients_of_every_size_are_torch_s(
    side: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    weight, bias = normal(5, 4, *kernel, seed=1), normal(5, seed=3)
    results = []
    for compute in (convolve, F.conv2d):
        x = normal(3, 4, side, side).requires_grad_()
        y = compute(x, weight, bias, stride, padding, dilation)
        (dx,) = torch.autograd.grad(y, x, normal(*y.shape, seed=2))
        results.append((y, dx))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_full_convolution_has_its_gradient_and_a_second_one() -> None:
    weight = normal(2, 2, 3, 3, seed=1)

    def compute(x: Tensor) -> Tensor:
        return convolve(x, weight, None, (1, 1), (2, 2), (1, 1)).square()

    x = normal(1, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(compute, x)
    assert torch.autograd.gradgradcheck(compute, x)


def test_what_follows_may_write_in_place() -> None:
    x = normal(1, 2, 3, 3).requires_grad_()
    for padding in ((1, 1), (2, 2)):
        convolve(
            x, normal(2, 2, 3, 3, seed=1), None, (1, 1), padding, (1, 1)
        ).relu_().sum().backward()


def test_an_image_smaller_than_the_kernel_is_torch_s_error() -> None:
    with pytest.raises(RuntimeError, match="can't be greater than actual input size"):
        convolve(normal(1, 2, 2, 2), normal(2, 2, 3, 3), None, (1, 1), (0, 0), (1, 1))


def test_only_what_cudnn_computes_without_tf32_suits() -> None:
    assert not suits(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("options", "replaced"),
    [
        ({}, True),
        ({"padding": 1, "stride": 2, "dilation": 2}, True),
        ({"padding": "same"}, False),
        ({"padding": 1, "padding_mode": "circular"}, False),
        ({"groups": 2}, False),
    ],
)
def test_layers_with_zeros_around_them_are_replaced(
    options: dict[str, int], replaced: bool
) -> None:
    conv = nn.Conv2d(4, 4, 3, **options)  # type: ignore[arg-type]
    assert can_replace(conv) == replaced


def test_a_layer_shares_the_tensors_of_the_one_it_replaces() -> None:
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1).eval().requires_grad_(False)
    layer, x = adopt(Float32Conv, conv).eval(), torch.rand(2, 4, 8, 8)
    assert layer.weight is conv.weight
    assert layer.bias is conv.bias
    assert not layer.training
    torch.testing.assert_close(layer(x), conv(x), rtol=0, atol=0)
    layer._conv_forward = lambda *a: convolve(*a, layer.stride, layer.padding, layer.dilation)
    torch.testing.assert_close(layer(x), conv(x))
