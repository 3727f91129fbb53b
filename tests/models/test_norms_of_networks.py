"""Which layers are norm layers, and what a defense makes of those that it does not know."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import convnext_tiny, resnet18
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

from robench import apply_defense
from robench.errors import RobenchWarning
from robench.models.norm_layers import is_norm


class LayerNorm2d(nn.LayerNorm):
    """As ConvNeXt has it."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def convnext_like() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 2, stride=2), LayerNorm2d(4), nn.Conv2d(4, 4, 3), nn.GELU()
    )


def kinds(model: nn.Module) -> list[str]:
    return [type(module).__name__ for module in model.modules() if is_norm(module)]


@pytest.mark.parametrize("defense", ["batchnorm", "spectral_norm", "ocnn"])
@pytest.mark.parametrize(
    ("model", "norms"),
    [
        (convnext_like(), ["LayerNorm2d"]),
        (nn.Sequential(nn.Conv2d(3, 4, 3), FrozenBatchNorm2d(4)), ["FrozenBatchNorm2d"]),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.BatchNorm1d(16)), ["BatchNorm1d"]),
    ],
)
def test_a_network_with_norm_layers_of_any_kind_gets_no_others(
    model: nn.Module, norms: list[str], defense: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kinds(apply_defense(model, defense)) == norms


@pytest.mark.parametrize("defense", ["vanilla", "convnorm(bn=False)", "groupnorm"])
def test_norm_layers_that_a_defense_leaves_where_it_drops_others_are_named(defense: str) -> None:
    with pytest.warns(RobenchWarning, match=r"leaves 1 other norm layer.*'1', a LayerNorm2d"):
        made = apply_defense(convnext_like(), defense)
    assert kinds(made) == ["LayerNorm2d"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the user knows of those that are skipped
        apply_defense(convnext_like(), defense, skip=["1"])


def test_networks_of_torchvision() -> None:
    with torch.device("meta"):
        frozen, convnext = resnet18(norm_layer=FrozenBatchNorm2d), convnext_tiny()
    assert len(kinds(frozen)) == 20
    assert len(kinds(convnext)) == 23


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(1, 1, 1),
        Conv2dNormActivation(3, 4, norm_layer=None),
        type("Normalize", (nn.Module,), {})(),
        type("GroupNormBlock", (nn.Sequential,), {})(nn.Conv2d(1, 1, 1)),
    ],
)
def test_what_is_no_norm_layer(module: nn.Module) -> None:
    assert not is_norm(module)
