"""A plugin with a data set and a backbone, on a board that sets options of both."""

import json
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file
from support import Command

from robench.registry import REGISTRIES

PLUGIN = '''
from pathlib import Path

import torch
from robench import DataSet, Images, Stem, register_backbone, register_dataset
from torch import nn


@register_dataset("halves", reference="me")
def halves(data_dir: Path, size: int = 8, flat: bool = False) -> DataSet:
    """Images with a bright left or right half."""
    def draw(count: int, seed: int) -> Images:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 100, (count, 1, size, size), generator=generator)
        labels = torch.arange(count) % 2
        images[labels == 0, :, :, : size // 2] += 150
        images[labels == 1, :, :, size // 2 :] += 150
        return Images(images.to(torch.uint8), labels)

    return DataSet("halves", draw(300, 0), draw(60, 1), ("left", "right"), (0.5,), (0.3,))


@register_backbone("plain", reference="me")
def plain(
    num_classes: int, in_channels: int, width: int, stem: Stem, blocks: int = 1
) -> nn.Module:
    """Convolutions without a norm layer."""
    layers = []
    for block in range(blocks):
        channels = width if block else in_channels
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
    head = (nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(4 * width, num_classes))
    return nn.Sequential(*layers, *head)
'''

BOARD = """
title = "halves"
defenses = ["batchnorm", "convnorm"]
seeds = [0]

[data]
name = "halves(size=6)"

[model]
name = "plain(blocks=2)"
width = 4

[training]
method = "standard"
epochs = 6
lr = 0.05
batch_size = 20

[evaluation]
attacks = ["fgsm", "pgd-2"]
samples = 60
rank_by = "pgd-2"
checks = false

[evaluation.defaults]
eps = 0.1
step_size = 0.05
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "halves.toml"
    path.write_text(BOARD)
    return path


def test_a_board_of_a_plugin_s_data_set_and_backbone_is_trained_ranked_and_verified(
    robench: Command, plugin: Path, board: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = robench("run", board, "--plugin", plugin, "--out", out)
    assert done.code == 0, done.err
    table = pd.read_csv(out / "halves" / "leaderboard.csv")
    assert list(table["defense"].sort_values()) == ["batchnorm", "convnorm"]
    assert set(table["dataset"]) == {"halves(size=6)"}
    assert set(table["backbone"]) == {"plain(blocks=2)"}
    assert (table["clean_mean"] > 0.9).all()
    for cell in (out / "cells").iterdir():
        specification = json.loads((cell / "spec.json").read_text())
        assert specification["data"]["name"] == "halves(size=6)"
        assert specification["model"]["name"] == "plain(blocks=2)"
        weights = load_file(cell / "weights.safetensors")
        assert sum(value.ndim == 4 for value in weights.values()) >= 2
    assert robench("verify", out / "halves").code == 0

    again = robench("run", board, "--plugin", plugin, "--out", out)
    assert again.out.count(": stored") == 2

    cell = next((out / "cells").iterdir())
    attacked = robench("attack", cell, "--plugin", plugin, "--attacks", "fgsm", "--samples", 20)
    assert attacked.code == 0, attacked.err
    assert "plain(blocks=2) of width 4; halves(size=6), 20 test images" in attacked.out


def test_without_its_plugin_a_board_is_verified_but_for_the_code_of_the_plugin(
    robench: Command, plugin: Path, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert robench("run", board, "--plugin", plugin, "--out", out).code == 0
    plugin.write_text(PLUGIN.replace("AdaptiveMaxPool2d", "AdaptiveAvgPool2d"))
    changed = robench("verify", out / "halves", "--rows", "0", "--plugin", plugin)
    assert changed.code == 1
    assert (
        "the source of the backbone 'plain' is not the one that it was trained with" in changed.out
    )
    for registry in REGISTRIES:  # as in a process that did not load it
        for name in ("halves", "plain"):
            monkeypatch.delitem(registry._entries, name, raising=False)
    done = robench("verify", out / "halves", "--rows", "0")
    assert done.code == 0, done.out


def test_both_are_listed(robench: Command, plugin: Path) -> None:
    assert "bright left or right" in robench("list", "datasets", "--plugin", plugin).out
    assert "without a norm layer" in robench("list", "models", "--plugin", plugin).out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "data.name=halves(sise=6)",
            "data set 'halves' has no option 'sise'; did you mean 'size'",
        ),
        (
            "data.name=halves(flat=3)",
            "data set 'halves(flat=3)': flat = 3: write true or false.",
        ),
        ("model.name=plain(block=2)", "backbone 'plain' has no option 'block'; did you mean 'bl"),
        ("model.name=plain(blocks='a')", "blocks = 'a': write a whole number"),
    ],
)
def test_a_wrong_option_costs_no_work(
    robench: Command, plugin: Path, board: Path, tmp_path: Path, change: str, sentence: str
) -> None:
    done = robench("run", board, "--plugin", plugin, "--set", change, "--out", tmp_path / "out")
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
