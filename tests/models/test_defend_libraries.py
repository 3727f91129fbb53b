"""A defense on networks of other libraries: dense, grouped, norm layers with activations."""

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from robench import apply_defense
from robench.defenses import ConvNorm2d

DEFENSES = ["vanilla", "batchnorm", "spectral_norm", "convnorm", "convnorm(bn=False)"]


def check(model: nn.Module, side: int = 32) -> None:
    logits = model.train()(torch.rand(2, 3, side, side))
    logits.logsumexp(1).sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is not None for p in model.parameters())
    assert model.eval()(torch.rand(1, 3, side, side)).isfinite().all()


@pytest.mark.parametrize("defense", ["vanilla", "spectral_norm", "convnorm"])
@pytest.mark.parametrize("name", ["densenet121", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_torchvision_s_other_families(name: str, defense: str) -> None:
    model = apply_defense(torchvision.models.get_model(name, weights=None, num_classes=4), defense)
    check(model, 64 if name == "densenet121" else 32)


@pytest.mark.parametrize("defense", DEFENSES)
@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "test_efficientnet"])
def test_timm_s_networks(name: str, defense: str) -> None:
    timm = pytest.importorskip("timm")
    plain = timm.create_model(name, num_classes=4)
    model = apply_defense(plain, defense)
    check(model, 64)
    convs = sum(type(module) is nn.Conv2d for module in plain.modules())
    expected = convs if defense.startswith("convnorm") else 0
    assert sum(isinstance(module, ConvNorm2d) for module in model.modules()) == expected


def test_dropping_timm_s_norm_layers_keeps_their_activations() -> None:
    layers = pytest.importorskip("timm.layers")
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), layers.BatchNormAct2d(4, act_layer=nn.ReLU))
    model: Any = apply_defense(plain, "vanilla")
    x = torch.rand(2, 3, 6, 6)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert torch.equal(model(x), model[0](x).relu())
