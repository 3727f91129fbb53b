"""Fused layers give the outputs and the input gradients of what they replace."""

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support import needs_bf16
from torch import Tensor, fx, nn

from robench.evaluation.folding import folded
from robench.evaluation.fusion import fuse_activations
from robench.kernels.fused_conv import FusedConv, can_fuse
from robench.models.build import build_model

pytestmark = pytest.mark.skipif(
    not can_fuse(torch.device("cpu")), reason="this torch has no fused convolutions"
)


def gradient(model: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    inputs = x.clone().requires_grad_()
    y = model(inputs)
    weights = torch.rand(y.shape, generator=torch.Generator().manual_seed(2))
    return y.detach(), torch.autograd.grad((weights * y).sum(), inputs)[0]


class Residual(nn.Module):
    """A block with a shortcut, as ``add`` adds them and ``relu`` cuts them off."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor], first: bool = False) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
        self.relu, self.add, self.first = nn.ReLU(), add, first

    def forward(self, x: Tensor) -> Tensor:
        y = self.two(torch.relu(self.one(x)))
        z = self.add(x, y) if self.first else self.add(y, x)
        return self.relu(z)


def layers(model: nn.Module) -> int:
    return sum(isinstance(module, FusedConv) for module in model.modules())


@pytest.mark.parametrize("add", [operator.add, operator.iadd, torch.add])
@pytest.mark.parametrize("first", [False, True])
def test_a_residual_block(add: Callable[[Tensor, Tensor], Tensor], first: bool) -> None:
    if first and add is operator.iadd:
        pytest.skip("it would add into the input")
    torch.manual_seed(0)
    model = Residual(add, first).eval().requires_grad_(False)
    x = torch.randn(4, 3, 8, 8)
    copy = folded(model)
    assert layers(copy) == 2
    for found, wanted in zip(gradient(copy, x), gradient(model, x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("backbone", "fused"), [("resnet18", 17), ("resnet50", 49), ("vgg16", 13)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_whole_networks(backbone: str, fused: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = build_model(backbone, num_classes=5, in_channels=3, image_size=(32, 32),
        mean=(0.5,) * 3, std=(0.25,) * 3, width=8).eval().requires_grad_(False)  # fmt: skip
    copy = folded(model).to(memory_format=layout)
    x = torch.rand(4, 3, 32, 32).contiguous(memory_format=layout)
    assert layers(copy) == fused  # every convolution before a ReLU; not those of shortcuts
    for found, wanted in zip(gradient(copy, x), gradient(model, x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("options", [
    {"stride": 2}, {"groups": 3}, {"dilation": 2}, {"bias": False}, {"padding": (0, 2)},
    {"padding": "same"}, {"padding": "valid"},
])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)])
def test_convolutions_of_every_kind(options: dict[str, Any], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, **options), nn.ReLU()).eval().requires_grad_(False)  # type: ignore[arg-type]
    x = torch.randn(2, 3, 9, 9)
    copy = folded(model).to(dtype)
    assert layers(copy) == 1
    y, dx = gradient(copy, x)
    wanted_y, wanted_dx = gradient(model, x)
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(y.float(), wanted_y, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(dx, wanted_dx, rtol=tolerance, atol=3 * tolerance)


class Used(nn.Module):
    """The convolution's output is wanted before the ReLU, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.relu(y) + y


@pytest.mark.parametrize(
    "model",
    [
        Used(),
        nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 3, 2, padding="same"), nn.ReLU()),  # more on one side
        nn.Sequential(nn.Conv2d(3, 3, 3), nn.GELU()),
    ],
)
def test_what_cannot_be_fused_is_left(model: nn.Module) -> None:
    network = fx.symbolic_trace(model.eval().requires_grad_(False))
    fuse_activations(network)
    assert layers(network) == 0
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(network(x), model(x))


def test_a_convolution_with_a_pre_hook_is_not_fused() -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1)
    conv.register_forward_pre_hook(lambda layer, inputs: (inputs[0] * 2,))
    network = fx.symbolic_trace(nn.Sequential(conv, nn.ReLU()).eval())
    fuse_activations(network)
    assert any(isinstance(layer, nn.ReLU) for layer in network.modules())
