"""Backbones from torchvision at any width, with the normalisation inside."""

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from robench.errors import UserError
from robench.models.build import Normalize, build_model
from robench.registry import backbones


def build(backbone: str = "resnet18", **changes: Any) -> nn.Module:
    options: dict[str, Any] = {
        "num_classes": 10, "in_channels": 3, "image_size": (32, 32), "mean": (0.5,) * 3,
        "std": (0.25,) * 3, "width": 8,
    }  # fmt: skip
    return build_model(backbone, **(options | changes))


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "vgg16"])
def test_every_backbone_gives_logits(name: str) -> None:
    model = build(name).eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


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
    assert parameter_count(build(width=64)) == 11_173_962


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


def test_the_defense_is_applied() -> None:
    assert parameter_count(build(defense="vanilla")) < parameter_count(build(defense="batchnorm"))


def test_images_are_normalised_inside() -> None:
    normalised = Normalize((0.5, 0.4), (0.2, 0.1))(torch.full((1, 2, 1, 1), 0.6)).flatten()
    torch.testing.assert_close(normalised, torch.tensor([0.5, 2.0]))
    assert not Normalize((0.5,), (0.2,)).state_dict()


def test_the_seed_decides_the_weights_and_the_check_of_the_size_changes_nothing() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        model = build(defense="convnorm")
        states.append(model.state_dict())
        assert model.training
        assert all(int(v) == 0 for k, v in model.state_dict().items() if "num_" in k)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"backbone": "vgg16", "image_size": (16, 16)}, "vgg16 cannot take images of 16x16"),
        ({"backbone": "vgg16", "stem": "half"}, "vgg16 has no stem 'half'"),
        ({"backbone": "resnet17"}, "no backbone is named 'resnet17'; did you mean"),
        ({"defense": "none"}, "no defense is named 'none'"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build(**({"backbone": "resnet18"} | changes))


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_grey_images_have_one_channel(name: str) -> None:
    model = build(name, in_channels=1, mean=(0.5,), std=(0.5,)).eval()
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, 10)


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
