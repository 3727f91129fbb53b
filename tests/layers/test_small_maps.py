"""Weight gradients as matrix products are those of the convolution."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from robench.layers.full_conv import full_conv
from robench.layers.small_maps import fast_on_small_maps, is_small

GEOMETRIES = list(product([(3, 3), (1, 1), (2, 3)], [1, 2], [0, 1], [1, 2]))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(model: nn.Module, x: Tensor, upstream: Tensor | None = None) -> list[Tensor]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    assert y.dtype == torch.bfloat16
    y.backward(normal(*y.shape, seed=9).bfloat16() if upstream is None else upstream)
    assert x.grad is not None
    found = [y.detach().float(), x.grad, *(p.grad for p in model.parameters())]
    model.zero_grad()
    return [value.clone() for value in found if value is not None]


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_values_and_gradients_are_those_of_the_convolution(
    kernel: tuple[int, int], stride: int, padding: int, dilation: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 8, kernel, stride, padding, dilation, bias=False)
    x = normal(3, 6, 6, 7)
    plain = gradients(conv, x)
    with fast_on_small_maps(conv):
        fast = gradients(conv, x)
    for ours, theirs in zip(fast, plain, strict=True):
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


def test_the_full_convolution_too() -> None:
    x, weight = normal(3, 6, 4, 4).bfloat16(), normal(8, 6, 3, 3, seed=1).bfloat16()
    results = []
    for function in (
        lambda x, w: full_conv(x, w, (1, 1), 1),
        lambda x, w: nn.functional.conv2d(x, w, padding=2),
    ):
        x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
        y = function(x, weight)
        results.append(torch.autograd.grad(y, (x, weight), normal(*y.shape, seed=2).bfloat16()))
    assert is_small(x)
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


def test_a_parametrized_convolution_takes_part_and_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    conv = parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1, bias=False))
    x = normal(2, 4, 4, 4)
    plain = gradients(conv, x)
    with fast_on_small_maps(nn.Sequential(conv)):
        assert "_conv_forward" in conv.__dict__
        fast = gradients(conv, x)
    assert "_conv_forward" not in conv.__dict__
    for ours, theirs in zip(fast, plain, strict=True):
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", bias=False),
        nn.Conv2d(4, 4, 3, padding="same", bias=False),
        nn.Conv2d(4, 4, 3),
    ],
    ids=["groups", "circular", "same", "bias"],
)
def test_others_stay_as_they_are(conv: nn.Conv2d) -> None:
    with fast_on_small_maps(conv):
        assert "_conv_forward" not in conv.__dict__


def test_outside_autocast_and_without_gradients_nothing_changes() -> None:
    conv, x = nn.Conv2d(4, 4, 3, bias=False), normal(2, 4, 5, 5)
    expected = conv(x)
    with fast_on_small_maps(conv):
        assert torch.equal(conv(x), expected)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert conv(x).grad_fn is None
