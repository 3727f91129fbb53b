"""ConvNorm in folded copies: the same logits and gradients, with less around it."""

from typing import Any

import pytest
import torch
from support import needs_bf16
from torch import Tensor, nn

from robench.evaluation.folding import folded, half_precision
from robench.kernels.depthwise import Depthwise
from robench.kernels.fused_conv import FusedConv, can_fuse
from robench.layers.convnorm import ConvNorm2d

IMAGES = torch.rand(4, 3, 9, 8, generator=torch.Generator().manual_seed(1))
fuses = pytest.mark.skipif(
    not can_fuse(torch.device("cpu")), reason="this torch has no fused convolutions"
)


class Block(nn.Module):
    """ConvNorm, BatchNorm and ReLU, then the same with a shortcut through a 1x1 kernel."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.one = ConvNorm2d(3, 6, 3, padding=1, bias=False, **options)
        self.two = ConvNorm2d(6, 8, 3, padding=1, stride=2, **options)
        self.beside = ConvNorm2d(3, 8, 1, stride=2, bias=False, **options)
        self.bns = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(8), nn.BatchNorm2d(8)])
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bns[0](self.one(x)))
        return self.relu(self.bns[1](self.two(y)) + self.bns[2](self.beside(x)))


def trained(model: nn.Module) -> nn.Module:
    """Randomize statistics and affines, with the averages of an earlier weight."""
    generator = torch.Generator().manual_seed(0)
    model.train()(IMAGES)
    for module in model.modules():
        if isinstance(module, ConvNorm2d):
            module.weight.data.add_(
                torch.randn(module.weight.shape, generator=generator), alpha=0.02
            )
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight, module.bias, module.running_mean):
                assert tensor is not None
                tensor.data.uniform_(0.5, 1.5, generator=generator)
    return model.eval().requires_grad_(False)


def with_gradient(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = model(x)
    weights = torch.rand(y.shape, generator=torch.Generator().manual_seed(2))
    return y.detach(), torch.autograd.grad((weights * y).sum(), x)[0]


def kinds(model: nn.Module) -> list[type[nn.Module]]:
    return [type(module) for module in model.modules()]


@fuses
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_norms_shortcuts_and_activations_go_into_the_affine(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = trained(Block())
    copy = folded(model).to(memory_format=layout)
    used = [copy.get_submodule(str(n.target)) for n in copy.graph.nodes if n.op == "call_module"]  # type: ignore[union-attr]
    # Of two layers that are added up, the later takes the other one's output.
    assert [type(layer) for layer in used] == [
        ConvNorm2d, FusedConv, ConvNorm2d, Depthwise, FusedConv
    ]  # fmt: skip
    assert nn.BatchNorm2d in kinds(model)
    for found, wanted in zip(
        with_gradient(copy, IMAGES), with_gradient(model, IMAGES), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@fuses
@needs_bf16
def test_in_half_precision_it_stays_close(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = trained(Block())
    with torch.autocast("cpu", torch.bfloat16):
        found = half_precision(folded(model))(IMAGES)
    assert found.dtype == torch.bfloat16
    wanted = model(IMAGES)
    assert (found.float() - wanted).norm() < 0.03 * wanted.norm()


@pytest.mark.parametrize("options", [
    {"affine": False}, {"eval_stats": "exact"}, {"eval_stats": "running_v"},
    {"affine_init": "delta"},
])  # fmt: skip
def test_every_kind_of_convnorm(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = trained(Block(**options))
    for found, wanted in zip(
        with_gradient(folded(model), IMAGES), with_gradient(model, IMAGES), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_1x1_kernel_becomes_a_plain_convolution(affine: bool, bias: bool, padding: int) -> None:
    torch.manual_seed(0)
    layer = ConvNorm2d(4, 6, 1, stride=(1, 2), padding=padding, groups=2, bias=bias, affine=affine)
    trained(nn.Sequential(nn.Conv2d(3, 4, 1), layer))
    plain, x = layer.folded(), torch.randn(2, 4, 5, 6)
    assert type(plain) is nn.Conv2d
    torch.testing.assert_close(plain(x), layer(x))


def test_other_kernels_do_not() -> None:
    assert ConvNorm2d(3, 4, (1, 3), affine=False).eval().folded() is None


def test_other_kernels_end_in_their_affine() -> None:
    torch.manual_seed(0)
    layer = ConvNorm2d(3, 4, (1, 3)).eval().requires_grad_(False)
    plain, x = layer.folded(), torch.randn(2, 3, 5, 6)
    assert isinstance(plain, nn.Sequential)
    assert [type(part) for part in plain] == [ConvNorm2d, Depthwise]
    assert plain[1] is layer.affine  # and the layer is left as it is
    assert torch.equal(plain(x), layer(x))


def test_a_subclass_may_do_more_and_is_left() -> None:
    class More(ConvNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) + 1

    assert More(3, 4, 1).eval().folded() is None


def test_a_layer_with_a_forward_hook_is_left_alone() -> None:
    model = trained(Block())
    seen: list[int] = []
    for layer in (model.one.affine, model.beside):  # type: ignore[union-attr]
        layer.register_forward_hook(lambda *_: seen.append(1))  # type: ignore[union-attr]
    copy = folded(model)
    torch.testing.assert_close(copy(IMAGES), model(IMAGES), rtol=1e-4, atol=1e-5)
    assert len(seen) == 4
    assert type(copy.get_submodule("one")) is ConvNorm2d


def test_the_affine_takes_a_shortcut() -> None:
    torch.manual_seed(0)
    layer = ConvNorm2d(3, 4, 3, padding=1).eval().requires_grad_(False)
    x, shortcut = torch.randn(2, 3, 6, 6), torch.randn(2, 4, 6, 6)
    wanted = torch.relu(layer(x) + shortcut)
    plain = layer.folded()
    assert isinstance(plain, nn.Sequential)
    first, affine = plain
    assert isinstance(affine, nn.Conv2d)
    if can_fuse(torch.device("cpu")):
        found = FusedConv(affine)(first(x), shortcut)
        torch.testing.assert_close(found, wanted)
