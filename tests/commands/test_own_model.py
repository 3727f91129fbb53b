"""A published network of somebody else is attacked by the options that its row is refused with."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import Command
from torch import nn

import robench as package
from robench.board.loading import read_board
from robench.data import load_dataset
from robench.leaderboard.submission import external_submission
from robench.models.external import ExternalOptions
from robench.models.normalization import Normalization

NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""
MEAN, STD = 0.9375, 0.0625


@pytest.fixture
def published(tiny_board: Path, tmp_path: Path) -> Callable[[Normalization | None], Path]:
    """Publish a network of a file, which is right on normalized digits, as the row ``net``."""

    def published_with(normalization: Normalization | None) -> Path:
        board = read_board(tiny_board / "board.toml")
        few = {"attacks": ("fgsm",), "samples": 50, "rank_by": "fgsm"}
        spec = board.model_copy(update={"evaluation": board.evaluation.model_copy(update=few)})
        (tmp_path / "net.py").write_text(NET)
        torch.save(_of_class_means().state_dict(), tmp_path / "weights.pt")
        folder = tmp_path / "a board"
        options = ExternalOptions(normalization)
        architecture = f"{tmp_path / 'net.py'}:build"
        external_submission("net", architecture, tmp_path / "weights.pt", spec, folder, options)
        (tmp_path / "net.py").unlink()
        return folder

    return published_with


def _of_class_means() -> nn.Module:
    """Return the network that names the class whose mean image is nearest."""
    train = load_dataset("digits").train
    images = (train.images.float() / 255 - MEAN) / STD  # type: ignore[union-attr]
    means = torch.stack([images[train.labels == label].mean(0).flatten() for label in range(10)])
    net = nn.Sequential(nn.Flatten(), linear := nn.Linear(64, 10))
    linear.weight.data, linear.bias.data = means, -(means**2).sum(1) / 2
    return net


def options_in(message: str) -> list[str]:
    """Return the options that a refusal names, as a shell splits them."""
    found = re.search(r"(--model .*) (instead of the row|runs it)\.", message)
    assert found, message
    return shlex.split(found[1])


def test_the_options_give_the_accuracy_of_the_row(
    robench: Command, published: Callable[[Normalization | None], Path]
) -> None:
    board = published(Normalization((MEAN,), (STD,)))
    refused = robench("attack", f"{board}/net")
    assert refused.code == 2
    row = package.Leaderboard.read(board).table.iloc[0]
    assert row["clean_mean"] > 0.7
    words = ("--attacks", "fgsm", "--samples", 50, "--no-checks", "--json")
    done = robench("attack", *options_in(refused.err), *words)
    assert done.code == 0, done.err
    assert json.loads(done.out)[0]["accuracy"] == row["clean_mean"]


def test_they_name_mean_std_and_the_files_as_they_lie_in_the_board(
    robench: Command, published: Callable[[Normalization | None], Path]
) -> None:
    board = published(Normalization((MEAN,), (STD,)))
    [cell] = package.Leaderboard.read(board).cells
    given = options_in(robench("show", f"{board}/net").err)
    assert given == [
        "--model", f"{board}/model/net.py:build", "--mean", str(MEAN), "--std", str(STD),
        "--checkpoint", f"{board}/weights/{cell.file.cell.key}.safetensors", "--data", "digits",
    ]  # fmt: skip
    with pytest.raises(package.UserError, match="runs it") as caught:
        package.load(f"{board}/net")
    assert options_in(str(caught.value)) == given


def test_a_network_with_nothing_before_it_gets_neither_mean_nor_std(
    robench: Command, published: Callable[[Normalization | None], Path]
) -> None:
    given = options_in(robench("certify", f"{published(None)}/net").err)
    assert given[::2] == ["--model", "--checkpoint", "--data"]
