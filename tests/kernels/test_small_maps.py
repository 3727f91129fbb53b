"""Convolutions and their gradients as matrix products of windows."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from robench.kernels.full_conv import full_conv
from robench.kernels.small_maps import (
    correlate,
    flipped_kernel_matrix,
    is_small,
    kernel_matrix,
    multiply,
    windows,
)

Pair = tuple[int, int]
GEOMETRIES = list(product([(3, 3), (1, 1), (2, 3)], [(1, 1), (2, 1)], [(0, 0), (1, 2)], [1, 2]))


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_result_and_the_weight_s_gradient(
    kernel: Pair, stride: Pair, padding: Pair, dilation: int, layout: torch.memory_format
) -> None:
    x = normal(3, 4, 6, 7).to(memory_format=layout)
    weight = normal(5, 4, *kernel, seed=1).to(memory_format=layout).requires_grad_()
    wanted = F.conv2d(x, weight, None, stride, padding, dilation)
    seen = windows(x, weight, stride, padding, (dilation, dilation))
    torch.testing.assert_close(multiply(seen, kernel_matrix(weight)), wanted)
    upstream = normal(*wanted.shape, seed=2)
    gradient = torch.autograd.grad(wanted, weight, upstream)[0]
    torch.testing.assert_close(correlate(upstream, seen), gradient)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 2)])
def test_with_the_kernel_turned_it_is_the_image_s_gradient(kernel: Pair) -> None:
    x, weight = normal(3, 4, 5, 6).requires_grad_(), normal(5, 4, *kernel, seed=1)
    y = F.conv2d(x, weight)
    upstream = normal(*y.shape, seed=2)
    beyond = (kernel[0] - 1, kernel[1] - 1)
    seen = windows(upstream, weight, (1, 1), beyond, (1, 1))
    wanted = torch.autograd.grad(y, x, upstream)[0]
    torch.testing.assert_close(multiply(seen, flipped_kernel_matrix(weight)), wanted)


def test_small_are_maps_of_few_pixels_in_bf16() -> None:
    assert is_small(torch.empty(1, 1, 4, 4, dtype=torch.bfloat16))
    assert not is_small(torch.empty(1, 1, 4, 5, dtype=torch.bfloat16))
    assert is_small(torch.empty(1, 1, 4, 5, dtype=torch.bfloat16), 20)
    assert not is_small(torch.empty(1, 1, 4, 4))


@pytest.mark.parametrize("sides", [(4, 4), (8, 8)])
def test_the_full_convolution_too(sides: Pair) -> None:
    x, weight = normal(3, 6, *sides).bfloat16(), normal(8, 6, 3, 3, seed=1).bfloat16()
    results = []
    for function in (
        lambda x, w: full_conv(x, w, (1, 1), 1),
        lambda x, w: F.conv2d(x, w, padding=2),
    ):
        x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
        y = function(x, weight)
        results.append(torch.autograd.grad(y, (x, weight), normal(*y.shape, seed=2).bfloat16()))
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()
