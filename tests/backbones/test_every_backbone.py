"""What every backbone does."""

from typing import Any

import pytest
import torch
from torch import nn

from robench.models.build import build_model

ALL = ["resnet8", "resnet20", "resnet56", "resnet18", "resnet34", "resnet50", "resnet101", "vgg16"]


def build(backbone: str, **changes: Any) -> nn.Module:
    options: dict[str, Any] = {
        "num_classes": 10, "in_channels": 3, "image_size": (32, 32), "mean": (0.5,) * 3,
        "std": (0.25,) * 3, "width": 8,
    }  # fmt: skip
    return build_model(backbone, **(options | changes))


@pytest.mark.parametrize("name", ALL)
def test_every_backbone_gives_logits(name: str) -> None:
    model = build(name).eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "vgg16"])
def test_grey_images_have_one_channel(name: str) -> None:
    model = build(name, in_channels=1, mean=(0.5,), std=(0.5,)).eval()
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, 10)
