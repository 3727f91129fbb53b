"""torchvision's ResNets at any width."""

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from robench.models.build import build_model
from robench.registry import backbones


def build(**changes: Any) -> nn.Module:
    options: dict[str, Any] = {
        "num_classes": 10, "in_channels": 3, "image_size": (32, 32), "mean": (0.5,) * 3,
        "std": (0.25,) * 3, "width": 8,
    }  # fmt: skip
    return build_model("resnet18", **(options | changes))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_at_full_width_with_its_own_stem_it_is_torchvision_s(name: str) -> None:
    ours = backbones.get(name).build(1000, 3, 64, "imagenet")
    theirs = getattr(torchvision.models, name)()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


def test_cifar_s_resnet18_has_its_well_known_size() -> None:
    model = build(width=64)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962


@pytest.mark.parametrize(("stem", "side"), [("cifar", 32), ("half", 16), ("imagenet", 8)])
def test_the_stem_sets_the_resolution_of_the_first_stage(stem: str, side: int) -> None:
    model = build(stem=stem)
    sides = []
    model.net.layer1.register_forward_hook(lambda *args: sides.append(args[2].shape[-1]))
    model(torch.rand(2, 3, 32, 32))
    assert sides == [side]


@pytest.mark.parametrize("width", [4, 16, 24])
def test_the_width_scales_every_stage(width: int) -> None:
    net: Any = build(width=width).net
    assert net.conv1.out_channels == width
    assert net.layer4[1].conv2.out_channels == 8 * width
    assert net.fc.in_features == 8 * width
