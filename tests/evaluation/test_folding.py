"""Folded copies compute what the network does."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from robench.evaluation.folding import folded, half_precision
from robench.models.build import build_model


def with_statistics(model: nn.Module) -> nn.Module:
    """Give every batch norm its own statistics and affine parameters."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight, module.bias, module.running_mean):
                assert tensor is not None
                tensor.data.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def batch_norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "vgg16"])
@pytest.mark.parametrize("defense", ["batchnorm", "convnorm", "spectral_norm", "cayley", "soc"])
def test_the_logits_are_the_same_and_norms_of_plain_convolutions_are_gone(
    backbone: str, defense: str
) -> None:
    size = 32 if backbone == "vgg16" else 16
    model = build_model(backbone, num_classes=5, in_channels=3, image_size=(size, size),
        mean=(0.5,) * 3, std=(0.25,) * 3, width=8, defense=defense)  # fmt: skip
    with_statistics(model)
    images = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(1))
    copy = folded(model)
    with torch.no_grad():
        wanted = model(images)
        torch.testing.assert_close(copy(images), wanted, rtol=1e-3, atol=1e-4)
    before = batch_norms(model)
    assert before > 0
    if defense in ("batchnorm", "spectral_norm", "convnorm"):
        used = [n for n in copy.graph.nodes if n.op == "call_module"]  # type: ignore[union-attr]
        kinds = [type(copy.get_submodule(node.target)) for node in used]
        assert nn.BatchNorm2d not in kinds
    with torch.no_grad():
        assert torch.equal(model(images), wanted)  # the model is left as it is


class Shared(nn.Module):
    """One convolution used twice, with a norm after one use only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).mean((2, 3)) + self.conv(x).amax((2, 3))


class Branching(nn.Module):
    """The output of the convolution is used by its norm and elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return (y + self.bn(y)).mean((2, 3))


class Untraceable(nn.Module):
    """Decides on values, which cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.conv(x))
        return y.mean((2, 3)) if y.sum() > 0 else -y.mean((2, 3))


@pytest.mark.parametrize("kind", [Shared, Branching, Untraceable])
def test_what_cannot_be_folded_is_left(kind: type[nn.Module]) -> None:
    model = with_statistics(kind())
    with torch.no_grad():
        torch.testing.assert_close(folded(model)(IMAGES), model(IMAGES))


def test_a_layer_with_a_hook_is_left() -> None:
    model = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    seen: list[int] = []
    model[0].register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        torch.testing.assert_close(folded(model)(IMAGES), model(IMAGES))
    assert len(seen) == 2


def test_weights_that_are_computed_are_computed_once() -> None:
    model = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4))
    copy = folded(with_statistics(model))
    assert type(copy.get_submodule("0")) is nn.Conv2d
    assert "parametrizations.weight.original0" in model[0].state_dict()


def test_half_precision_is_for_plain_layers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    copy = half_precision(model)
    assert [p.dtype for p in copy.parameters()] == [
        torch.bfloat16, torch.bfloat16, torch.float32, torch.float32, torch.bfloat16, torch.bfloat16
    ]  # fmt: skip
    assert all(p.dtype == torch.float32 for p in model.parameters())
