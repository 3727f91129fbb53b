"""The ResNets that were made for CIFAR."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robench.backbones.cifar_resnet import Block
from robench.models.third_party_weights import load_third_party_weights
from robench.registry import backbones

PUBLIC = Path(__file__).resolve().parents[3] / "shared/data/models/resnet20-12fca82f.th"


def build(name: str, width: int = 16) -> nn.Module:
    return backbones.get(name).build(10, 3, width)


@pytest.mark.parametrize(
    ("name", "layers", "millions"),
    [("resnet8", 8, 0.08), ("resnet20", 20, 0.27), ("resnet32", 32, 0.46), ("resnet56", 56, 0.85)],
)
def test_layers_and_parameters_are_those_of_the_paper_s_table(
    name: str, layers: int, millions: float
) -> None:
    model = build(name)
    weighted = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == layers
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (8, 2), (6, 2), (9, 2)])
def test_a_shortcut_is_every_second_pixel_with_zeros_for_new_channels(
    channels: int, stride: int
) -> None:
    block = Block(4, channels, stride).eval()
    nn.init.zeros_(block.bn2.weight)  # nothing but the shortcut is left
    x = torch.rand(2, 4, 5, 5)
    out = block(x)
    assert out.shape[1] == channels
    kept = [i for i in range(channels) if out[:, i].any()]
    assert torch.equal(out[:, kept], x[:, :, ::stride, ::stride])
    assert kept == list(range(kept[0], kept[0] + 4))


def test_the_width_scales_every_stage() -> None:
    model = build("resnet20", 6)
    widths = [getattr(model, f"layer{i}")[-1].conv2.out_channels for i in (1, 2, 3)]
    assert widths == [6, 12, 24]
    images = torch.rand(2, 3, 32, 32)
    assert model.eval()(images).shape == (2, 10)


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public network is not here")
def test_weights_of_the_public_resnet20_load_and_are_used_as_there() -> None:
    model = build("resnet20").eval()
    load_third_party_weights(PUBLIC, model)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = F.relu(model.bn1(model.conv1(images)))
        for i in (1, 2, 3):
            for block in getattr(model, f"layer{i}"):
                out = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
                if block.stride == 2:
                    added = out.shape[1] // 4
                    x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, added, added))
                x = F.relu(out + x)
        wanted = model.linear(F.avg_pool2d(x, x.shape[-1]).flatten(1))
        torch.testing.assert_close(model(images), wanted)
