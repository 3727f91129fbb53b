"""The depthwise convolution and its gradients agree with torch's."""

import pytest
import torch
from torch import Tensor, nn

from robench.kernels.depthwise import Depthwise, _Depthwise


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(layer: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x)
    wanted = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return [y, *torch.autograd.grad(y, wanted, normal(*y.shape, seed=9).to(y.dtype))]


def twins(kernel: tuple[int, int]) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Return ours and torch's, of the same random numbers."""
    layers: list[nn.Conv2d] = []
    for make in (
        lambda: Depthwise(5, kernel),
        lambda: nn.Conv2d(5, 5, kernel, padding="same", groups=5),
    ):
        torch.manual_seed(0)
        layers.append(make())
    return layers[0], layers[1]


@pytest.mark.parametrize("kernel", [(3, 3), (1, 5), (1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_bf16_values_and_gradients_are_those_of_torch(
    kernel: tuple[int, int], layout: torch.memory_format
) -> None:
    x = normal(3, 5, 7, 6).to(memory_format=layout)
    results = []
    for layer in twins(kernel):
        with torch.autocast("cpu", torch.bfloat16):
            results.append(gradients(layer, x))
    assert results[0][0].dtype == torch.bfloat16
    assert results[0][0].grad_fn is not None
    assert results[0][0].grad_fn.name() == "_DepthwiseBackward"
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours.float() - theirs.float()).norm() <= 0.01 * theirs.float().norm()


@pytest.mark.parametrize("kernel", [(3, 3), (2, 3)])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_elsewhere_it_is_torch_s_to_the_bit(kernel: tuple[int, int]) -> None:
    for ours, theirs in zip(
        *(gradients(layer, normal(3, 5, 7, 6)) for layer in twins(kernel)), strict=True
    ):
        assert torch.equal(ours, theirs)
    ours, theirs = (layer.bfloat16()(normal(5, 6, 6).bfloat16()) for layer in twins(kernel))
    assert torch.equal(ours, theirs)


def test_frozen_parameters_get_no_gradient() -> None:
    layer = Depthwise(5, (3, 3)).bfloat16().requires_grad_(False)
    x = normal(2, 5, 6, 6).bfloat16().requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None


def test_first_and_second_derivatives() -> None:
    inputs = (normal(2, 3, 4, 5), normal(3, 1, 3, 3, seed=1), normal(3, seed=2))
    leaves = tuple(tensor.double().requires_grad_() for tensor in inputs)
    assert torch.autograd.gradcheck(_Depthwise.apply, leaves)
    assert torch.autograd.gradgradcheck(_Depthwise.apply, leaves)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_by_planes_values_gradients_and_memory_format_are_kept(layout: torch.memory_format) -> None:
    ours, theirs = (layer.to(memory_format=layout) for layer in twins((3, 3)))
    assert isinstance(ours, Depthwise)
    x = normal(3, 5, 7, 6).to(memory_format=layout)
    wanted = gradients(theirs, x)
    ours._conv_forward = ours._by_planes  # type: ignore[method-assign]
    for one, other in zip(gradients(ours, x), wanted, strict=True):
        torch.testing.assert_close(one, other)
    assert ours(x).is_contiguous(memory_format=layout)
