"""Fast convolutions agree with torch's, and use torch's where those are fast."""

from contextlib import nullcontext
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from robench.kernels.fast_convs import fast_convolutions

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
    with fast_convolutions(conv):
        fast = gradients(conv, x)
    for ours, theirs in zip(fast, plain, strict=True):
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


def test_a_parametrized_convolution_takes_part_and_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    conv = parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1, bias=False))
    x = normal(2, 4, 4, 4)
    plain = gradients(conv, x)
    with fast_convolutions(nn.Sequential(conv)):
        assert "_conv_forward" in conv.__dict__
        fast = gradients(conv, x)
    assert "_conv_forward" not in conv.__dict__
    for ours, theirs in zip(fast, plain, strict=True):
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


@pytest.mark.parametrize("kernel", [(3, 3), (1, 2)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)])
def test_on_maps_of_4x4_pixels_and_fewer(
    kernel: tuple[int, int], stride: int, padding: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 8, kernel, stride, padding, bias=False)
    for sides in ((4, 4), (3, 5)):
        x = normal(3, 6, *sides).to(memory_format=torch.channels_last)
        plain = gradients(conv, x)
        with fast_convolutions(conv):
            fast = gradients(conv, x)
        for ours, theirs in zip(fast, plain, strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).norm() <= 0.01 * theirs.norm()


def test_a_kernel_that_does_not_fit_is_torch_s_error() -> None:
    conv = nn.Conv2d(4, 4, 5, bias=False)
    with (
        fast_convolutions(conv),
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"),
    ):
        conv(normal(2, 4, 4, 4))


def test_the_result_may_be_changed_in_place_as_an_activation_does() -> None:
    conv, x = nn.Conv2d(4, 4, 3, padding=1, bias=False), normal(2, 4, 4, 4).requires_grad_()
    with fast_convolutions(conv), torch.autocast("cpu", torch.bfloat16):
        torch.relu_(conv(x)).float().sum().backward()
    assert x.grad is not None


def test_second_derivatives() -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv2d(4, 4, 3, padding=1, bias=False), normal(2, 4, 4, 4).requires_grad_()
    found = []
    for fast in (True, False):
        with fast_convolutions(conv) if fast else nullcontext():
            with torch.autocast("cpu", torch.bfloat16):
                y = conv(x).float().pow(3).sum()
            first = torch.autograd.grad(y, x, create_graph=True)[0]
            found.append(torch.autograd.grad(first.square().sum(), (x, conv.weight)))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= 0.03 * theirs.norm()


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
    with fast_convolutions(conv):
        assert "_conv_forward" not in conv.__dict__


@pytest.mark.parametrize("channels", [3, 4, 8, 15, 16])
@pytest.mark.parametrize("bias", [False, True])
def test_the_weight_gradient_that_torch_gets_wrong_in_float32(channels: int, bias: bool) -> None:
    """Without it, this process crashes at most of these widths with torch 2.14."""
    conv = nn.Conv2d(channels, 2 * channels, 1, 2, bias=bias).to(memory_format=torch.channels_last)
    x = normal(4, channels, 55, 56).contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = normal(4, 2 * channels, 28, 28, seed=1).contiguous(memory_format=torch.channels_last)
    with fast_convolutions(conv):
        y = conv(x)
        dx, dweight = torch.autograd.grad(y, (x, conv.weight), upstream)
    exact, weight = (t.detach().double().contiguous().requires_grad_() for t in (x, conv.weight))
    added = conv.bias.detach().double() if bias else None
    expected = nn.functional.conv2d(exact, weight, added, stride=2)
    wanted = torch.autograd.grad(expected, (exact, weight), upstream.double().contiguous())
    torch.testing.assert_close(y, expected.float())
    torch.testing.assert_close(dx, wanted[0].float())
    torch.testing.assert_close(dweight, wanted[1].float(), rtol=1e-4, atol=1e-3)


def test_outside_autocast_and_without_gradients_nothing_changes() -> None:
    conv, x = nn.Conv2d(4, 4, 3, bias=False), normal(2, 4, 5, 5)
    expected = conv(x)
    with fast_convolutions(conv):
        assert torch.equal(conv(x), expected)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert conv(x).grad_fn is None


def test_it_may_be_entered_within_itself() -> None:
    conv = nn.Conv2d(4, 4, 3, bias=False)
    plain = conv._conv_forward
    with fast_convolutions(conv):
        outer = conv._conv_forward
        with fast_convolutions(conv):
            assert conv._conv_forward != plain
        assert conv._conv_forward is outer
    assert conv._conv_forward == plain


@pytest.mark.parametrize("side", [4, 8])
def test_no_images_have_no_results_and_weights_no_gradient(side: int) -> None:
    conv = nn.Conv2d(4, 6, 3, padding=1, bias=False)
    images = torch.rand(0, 4, side, side, requires_grad=True)
    with fast_convolutions(conv), torch.autocast("cpu", torch.bfloat16):
        result = conv(images)
    assert result.shape == (0, 6, side, side)
    result.sum().backward()
    assert conv.weight.grad is not None
    assert not conv.weight.grad.any()
