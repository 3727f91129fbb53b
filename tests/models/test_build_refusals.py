"""Inputs that ``build_model`` refuses; its check of the image size has no side effects."""

from typing import Any

import pytest
import torch
from torch import nn

from robench.errors import UserError
from robench.models.build import build_model


def build(**changes: Any) -> nn.Module:
    options: dict[str, Any] = {
        "backbone": "resnet18", "num_classes": 10, "in_channels": 3, "image_size": (32, 32),
        "mean": (0.5,) * 3, "std": (0.25,) * 3, "width": 4,
    }  # fmt: skip
    options |= changes
    return build_model(options.pop("backbone"), **options)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"backbone": "vgg16", "image_size": (28, 28)}, r"vgg16 .* 28x28 pixels .* takes 32x32\.$"),
        ({"stem": "cifra"}, r"resnet18 has no stem 'cifra'; did you mean 'cifar'\?$"),
        ({"width": 0}, "width is 0; give 1 channel or more"),
        ({"width": -8}, "width is -8; give 1 channel or more"),
        ({"mean": (0.5, 0.5)}, "mean has 2 values but images have 3 channels"),
        ({"std": (0.5,) * 4}, "std has 4 values but images have 3 channels"),
    ],
)
def test_what_does_not_fit_is_reported_in_one_line(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        build(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("defense", ["batchnorm", "spectral_norm", "convnorm"])
def test_the_image_size_decides_neither_weights_nor_what_is_drawn_afterwards(defense: str) -> None:
    results = []
    for side in (8, 32):
        torch.manual_seed(1)
        model = build(defense=defense, image_size=(side, side))
        results.append((model.state_dict(), torch.get_rng_state()))
    (small, after_small), (large, after_large) = results
    assert torch.equal(after_small, after_large)
    assert all(torch.equal(small[name], value) for name, value in large.items())


@pytest.mark.parametrize("pair", [("vanilla", "batchnorm"), ("batchnorm", "convnorm")])
def test_defenses_of_one_seed_start_from_the_same_convolutions(pair: tuple[str, str]) -> None:
    weights = []
    for defense in pair:
        torch.manual_seed(2)
        net: Any = build(defense=defense).net
        weights.append([net.conv1.weight, net.layer3[0].downsample[0].weight, net.fc.weight])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
