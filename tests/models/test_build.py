"""A backbone with its defense and built-in normalization."""

from typing import Any

import pytest
import torch
from torch import nn

from robench.errors import UserError
from robench.models.build import Normalize, build_model


def build(backbone: str = "resnet18", **changes: Any) -> nn.Module:
    options: dict[str, Any] = {
        "num_classes": 10, "in_channels": 3, "image_size": (32, 32), "mean": (0.5,) * 3,
        "std": (0.25,) * 3, "width": 8,
    }  # fmt: skip
    return build_model(backbone, **(options | changes))


def test_the_defense_is_applied() -> None:
    assert parameter_count(build(defense="vanilla")) < parameter_count(build(defense="batchnorm"))


def test_images_are_normalized_inside() -> None:
    normalized = Normalize((0.5, 0.4), (0.2, 0.1))(torch.full((1, 2, 1, 1), 0.6)).flatten()
    torch.testing.assert_close(normalized, torch.tensor([0.5, 2.0]))
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
def test_what_does_not_fit_is_reported_in_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        build(**({"backbone": "resnet18"} | changes))


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
