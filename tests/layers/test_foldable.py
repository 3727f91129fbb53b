"""Any layer can be folded under attack: here, layers that the suite does not know."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from robench.evaluation.folding import folded, half_precision
from robench.evaluation.victim import Victim
from robench.kernels.fused_conv import FusedConv, can_fuse
from robench.layers.foldable import Foldable, plain_conv

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
FUSED = FusedConv if can_fuse(torch.device("cpu")) else nn.Conv2d


class UnitConv2d(nn.Conv2d):
    """A convolution whose filters have norm 1, with a learned scale per channel."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scale = nn.Parameter(torch.linspace(0.5, 2, self.out_channels).view(-1, 1, 1, 1))
        self.computed = 0

    def weight_in_use(self) -> Tensor:
        self.computed += 1
        norm = self.weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        return self.scale * self.weight / norm

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight_in_use(), self.bias)

    def folded(self) -> nn.Module | None:
        return plain_conv(self, self.weight_in_use(), self.bias)


class Centered(nn.Module):
    """A layer that subtracts each image's mean and ends in a convolution with a computed weight."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = UnitConv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:  # which torch.fx could not trace
            raise ValueError("images, please")
        return self.conv(x - x.mean((1, 2, 3), keepdim=True))

    def folded(self) -> nn.Module | None:
        return nn.Sequential(
            TakeMean(), plain_conv(self.conv, self.conv.weight_in_use(), self.conv.bias)
        )


class TakeMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((1, 2, 3), keepdim=True)


class Left(Centered):
    """The same, but it has no simpler form."""

    def folded(self) -> nn.Module | None:
        return None


class Block(nn.Module):
    def __init__(self, second: type[Centered]) -> None:
        super().__init__()
        self.one, self.two = UnitConv2d(3, 6, 3, padding=1, bias=False), second(6)
        self.bn1, self.bn2, self.relu = nn.BatchNorm2d(6), nn.BatchNorm2d(6), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.one(x)))
        return self.relu(self.bn2(self.two(x)) + x)


def network(second: type[Centered]) -> tuple[nn.Module, Block]:
    """Return a network and its block, with statistics that are not the initial ones."""
    torch.manual_seed(0)
    block = Block(second)
    model = nn.Sequential(block, nn.Flatten(), nn.Linear(6 * 64, 5))
    model.train()(IMAGES)
    return model.eval().requires_grad_(False), block


def with_gradient(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = model(x)
    weights = torch.rand(y.shape, generator=torch.Generator().manual_seed(2))
    return y.detach(), torch.autograd.grad((weights * y).sum(), x)[0]


def called(copy: nn.Module) -> list[type[nn.Module]]:
    nodes = [n for n in copy.graph.nodes if n.op == "call_module"]  # type: ignore[union-attr]
    return [type(copy.get_submodule(node.target)) for node in nodes]


def assert_same(copy: nn.Module, model: nn.Module) -> None:
    for found, wanted in zip(
        with_gradient(copy, IMAGES), with_gradient(model, IMAGES), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_layer_that_offers_it_is_replaced_and_takes_what_follows() -> None:
    model, block = network(Centered)
    copy = folded(model)
    wanted = [FUSED, TakeMean, FUSED, nn.Flatten, nn.Linear]
    assert [kind for kind in called(copy) if kind is not nn.ReLU] == wanted
    assert_same(copy, model)
    assert isinstance(block.one, UnitConv2d)  # the model is left as it is


def test_what_depends_on_weights_is_computed_once() -> None:
    model, block = network(Centered)
    victim = Victim(model, IMAGES, batch_size=4, without=["bf16"])
    before = block.one.computed
    for _ in range(3):
        victim.for_gradients(IMAGES)
    assert block.one.computed == before
    torch.testing.assert_close(victim.for_gradients(IMAGES), model(IMAGES), rtol=1e-4, atol=1e-5)


def test_its_convolution_has_bf16_weights_where_gradients_are_taken_in_bf16() -> None:
    copy = half_precision(folded(network(Centered)[0]))
    weights = [layer.weight for layer in copy.modules() if type(layer) is FUSED]
    assert [weight.dtype for weight in weights] == [torch.bfloat16] * 2


def test_a_layer_that_returns_none_is_left_alone_and_called_as_a_whole() -> None:
    model, _ = network(Left)
    copy = folded(model)
    wanted = [FUSED, Left, nn.BatchNorm2d, nn.Flatten, nn.Linear]
    assert [kind for kind in called(copy) if kind is not nn.ReLU] == wanted
    assert_same(copy, model)


def test_a_layer_with_a_forward_hook_is_left_alone() -> None:
    model, block = network(Centered)
    seen: list[int] = []
    block.two.conv.register_forward_hook(lambda *_: seen.append(1))
    copy = folded(model)
    assert Centered in called(copy)
    assert_same(copy, model)
    assert len(seen) == 2


def test_a_parametrized_layer_says_what_it_comes_to() -> None:
    class AwayFromZero(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight.sign() * (1 + weight.abs())

    model, block = network(Centered)
    parametrize.register_parametrization(block.one, "weight", AwayFromZero())
    copy = folded(model.requires_grad_(False))
    assert called(copy)[0] is FUSED
    assert_same(copy, model)


@pytest.mark.parametrize("layer", [UnitConv2d(3, 4, 1), Centered(3), Left(3)])
def test_nothing_has_to_be_inherited(layer: nn.Module) -> None:
    assert isinstance(layer, Foldable)
    assert not isinstance(nn.Conv2d(3, 4, 1), Foldable)


def test_a_plain_convolution_has_the_geometry_and_is_frozen() -> None:
    like = nn.Conv2d(4, 6, 3, stride=2, padding="valid", dilation=2, groups=2, bias=False)
    weight = torch.rand(6, 2, 3, 3, requires_grad=True)
    x = torch.rand(2, 4, 9, 9)
    found = plain_conv(like, weight, torch.ones(6))
    assert not any(parameter.requires_grad for parameter in found.parameters())
    torch.testing.assert_close(found(x), like._conv_forward(x, weight, torch.ones(6)))
