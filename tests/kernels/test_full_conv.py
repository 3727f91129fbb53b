"""The full convolution and its gradients are those of ``conv2d`` with that padding."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from robench.kernels.full_conv import full_conv

CASES = list(product([(3, 3), (2, 3), (1, 4)], [(1, 1), (2, 1)], [1, 2]))


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def padded(x: Tensor, weight: Tensor, dilation: tuple[int, int], groups: int) -> Tensor:
    padding = tuple(d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True))
    return F.conv2d(x, weight, None, 1, padding, dilation, groups)


@pytest.mark.parametrize(("kernel", "dilation", "groups"), CASES)
def test_it_is_the_padded_convolution_forward_and_backward(
    kernel: tuple[int, int], dilation: tuple[int, int], groups: int
) -> None:
    results = []
    for function in (full_conv, padded):
        x = normal(2, 4, 5, 6).requires_grad_()
        weight = normal(6, 4 // groups, *kernel, seed=1).requires_grad_()
        y = function(x, weight, dilation, groups)
        upstream = normal(*y.shape, seed=2)
        results.append((y, *torch.autograd.grad(y, (x, weight), upstream)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("frozen", ["image", "weight"])
def test_only_the_gradient_that_is_wanted_is_made(frozen: str) -> None:
    x = normal(1, 2, 4, 4).requires_grad_(frozen != "image")
    weight = normal(3, 2, 3, 3, seed=1).requires_grad_(frozen != "weight")
    full_conv(x, weight, (1, 1), 1).square().sum().backward()
    assert (x.grad is None) == (frozen == "image")
    assert (weight.grad is None) == (frozen == "weight")


def test_second_derivatives() -> None:
    x, weight = normal(1, 2, 3, 3).requires_grad_(), normal(2, 1, 2, 2, seed=1).requires_grad_()
    function = lambda x, w: full_conv(x, w, (1, 1), 2)  # noqa: E731
    assert torch.autograd.gradcheck(function, (x, weight))
    assert torch.autograd.gradgradcheck(function, (x, weight))


def test_under_autocast_it_is_in_half_precision_and_gradients_have_the_dtypes_of_the_leaves() -> (
    None
):
    x = normal(2, 8, 6, 6, dtype=torch.float32).requires_grad_()
    weight = normal(8, 8, 3, 3, seed=1, dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = full_conv(x, weight, (1, 1), 1)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    assert x.grad is not None
    assert weight.grad is not None
    assert x.grad.dtype == weight.grad.dtype == torch.float32
    exact_x, exact_weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    padded(exact_x, exact_weight, (1, 1), 1).square().sum().backward()
    for ours, exact in ((x.grad, exact_x.grad), (weight.grad, exact_weight.grad)):
        assert exact is not None
        assert (ours - exact).norm() < 0.02 * exact.norm()
