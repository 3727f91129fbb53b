"""A module's operator, determined from its outputs."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robench.diagnostics.probing import (
    impulse_kernel,
    is_linear,
    largest_singular_value,
    linear_part,
)
from robench.layers.circular import on_torus, symbol


@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_impulses_find_the_kernel_of_a_convolution(
    stride: int | tuple[int, int], mode: str
) -> None:
    conv = nn.Conv2d(3, 5, 3, stride, 1, padding_mode=mode).double().requires_grad_(False)
    kernel, found = impulse_kernel(linear_part(conv), 3, (8, 8), conv.weight)
    assert found == conv.stride
    torch.testing.assert_close(kernel, on_torus(conv.weight, (8, 8)))


def test_impulses_find_what_a_chain_of_layers_does() -> None:
    chain = nn.Sequential(nn.MaxPool2d(1, 2), nn.Conv2d(3, 5, 1)).double().requires_grad_(False)
    kernel, stride = impulse_kernel(linear_part(chain), 3, (8, 8), chain[1].weight)
    values = torch.linalg.svdvals(symbol(kernel, stride)).amax()
    truth = torch.linalg.matrix_norm(chain[1].weight.flatten(1), ord=2)
    torch.testing.assert_close(values, truth)


def test_the_bias_is_no_part_of_the_operator() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    x = torch.randn(4, 2, 6, 6)
    torch.testing.assert_close(
        linear_part(conv)(x), F.conv2d(x, conv.weight, padding=1), atol=1e-5, rtol=0
    )


def test_activations_are_not_linear() -> None:
    like = torch.zeros(())
    assert is_linear(linear_part(nn.Conv2d(2, 3, 3)), (2, 6, 6), like)
    assert not is_linear(nn.ReLU(), (2, 6, 6), like)
    assert not is_linear(nn.MaxPool2d(2), (2, 6, 6), like)


@pytest.mark.parametrize("inputs", [1, 2, 7])
def test_the_largest_singular_value_is_that_of_the_matrix(inputs: int) -> None:
    linear = nn.Linear(inputs, 5, bias=False).double()
    flat = nn.Sequential(nn.Flatten(), linear)
    found = largest_singular_value(flat, (inputs, 1, 1), linear.weight)
    truth = float(torch.linalg.matrix_norm(linear.weight, ord=2))
    assert math.isclose(found, truth, rel_tol=1e-4)
