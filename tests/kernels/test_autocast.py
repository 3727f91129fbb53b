"""Products of bf16 numbers, also where a processor has none of them."""

import pytest
import torch
from torch import Tensor, nn

from robench.kernels import autocast
from robench.kernels.autocast import products_of
from robench.kernels.depthwise import Depthwise
from robench.kernels.fast_convs import fast_convolutions
from robench.kernels.full_conv import full_conv


class Full(nn.Conv2d):
    """The full convolution, as ConvNorm has it."""

    def forward(self, input: Tensor) -> Tensor:
        return full_conv(input, self.weight, (1, 1), 1)


LAYERS = {
    "3x3": lambda: nn.Conv2d(6, 8, 3, padding=1, bias=False),
    "strided": lambda: nn.Conv2d(6, 8, 3, 2, padding=1, bias=False),
    "strided 1x1": lambda: nn.Conv2d(6, 8, 1, 2, bias=False),
    "full": lambda: Full(6, 8, 3, bias=False),
    "depthwise": lambda: Depthwise(6, (3, 3)),
}


def step(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the result of a layer under autocast, and the gradients of image and parameters."""
    with fast_convolutions(layer), torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y, *torch.autograd.grad(y, (x, *layer.parameters()), upstream)]


@pytest.mark.parametrize("side", [3, 9])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_layers_compute_the_same_without_products_of_bf16(
    layer: object, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(layer)
    built = layer()
    x = torch.randn(5, 6, side, side, requires_grad=True)
    found = {}
    for has in (True, False):
        monkeypatch.setattr(autocast, "has_products_of_bf16", lambda has=has: has)
        found[has] = step(built, x)
    for one, other in zip(found[True], found[False], strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() <= 0.01 * one.norm()


@pytest.mark.parametrize("has", [True, False])
def test_only_bf16_on_a_cpu_is_widened(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autocast, "has_products_of_bf16", lambda: has)
    half = torch.ones(2, dtype=torch.bfloat16)
    assert products_of(half).dtype == (torch.bfloat16 if has else torch.float32)
    for dtype in (torch.float32, torch.float64):
        assert products_of(half.to(dtype)).dtype == dtype
    assert products_of(half.to("meta")).dtype == torch.bfloat16
