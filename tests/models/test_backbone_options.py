"""Options of a backbone, written as an entry expression."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from robench.base import Stem
from robench.board.board import Board
from robench.board.plan import resolve_rows
from robench.errors import UserError
from robench.models.build import build_model
from robench.registry import backbones


@pytest.fixture
def plain() -> Iterator[str]:
    """A backbone with its own options."""

    @backbones.register("plain")
    def plain(
        num_classes: int,
        in_channels: int,
        width: int,
        stem: Stem,
        blocks: int = 1,
        bias: bool = True,
    ) -> nn.Module:
        """Convolutions of one width."""
        layers: list[nn.Module] = []
        for block in range(blocks):
            channels = width if block else in_channels
            layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=bias))
        pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(*layers, *pool, nn.Linear(width, num_classes))

    yield "plain"
    del backbones._entries["plain"]


def build(backbone: str) -> nn.Module:
    return build_model(
        backbone, num_classes=3, in_channels=1, image_size=(8, 8), mean=(0.5,), std=(0.2,), width=4
    )


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def test_options_reach_the_backbone(plain: str) -> None:
    model = build("plain(blocks=3, bias=false)")
    assert len(convolutions(model)) == 3
    assert all(conv.bias is None for conv in convolutions(model))
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 3)


def test_a_bare_name_takes_the_defaults(plain: str) -> None:
    assert len(convolutions(build("plain"))) == 1


@pytest.mark.parametrize(
    ("backbone", "sentence"),
    [
        ("plain(block=3)", r"backbone 'plain' has no option 'block'; did you mean 'blocks'\?$"),
        ("plain(blocks='three')", r"backbone 'plain.*: blocks = 'three': write a whole number"),
        ("plain(num_classes=3)", "backbone 'plain' has no option 'num_classes'"),
        ("plain(width=3)", "backbone 'plain' has no option 'width'"),
        ("resnet18(blocks=3)", r"backbone 'resnet18' has no option 'blocks'; there are none\.$"),
    ],
)
def test_a_wrong_option_is_reported_with_the_nearest(
    plain: str, backbone: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        build(backbone)


def keys(name: str) -> list[str]:
    values: dict[str, Any] = {"title": "t", "defenses": ["vanilla"], "model": {"name": name}}
    board = Board.model_validate(values)
    rows = resolve_rows(board)
    return [cell.key for row in rows for cell in row.cells(board.seeds, "digits", "0")]


def test_the_identity_of_a_cell_does_not_depend_on_how_options_are_spelled() -> None:
    assert keys("plain(blocks=3, bias=False)") == keys("plain( bias=false,blocks=3 )")
    assert keys("plain(blocks=3)") != keys("plain(blocks=2)")
    assert keys("plain(blocks=3)") != keys("plain")


def test_the_identity_of_a_bare_name_is_what_it_always_was() -> None:
    assert keys("resnet18") == ["e6b6894f253678e0"]
