"""A data set of the Hugging Face hub from the command line: attack, run, verify, submit."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from hub_server import Hub
from support import TINY_BOARD, Command
from torch import nn

from robench.data import load_dataset

pytest.importorskip("datasets.features")  # tests/datasets is importable, too
from hub_data import images_and_labels

NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
"""
BOARD = TINY_BOARD.replace('"fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"', '"pgd-4"')
NAME = "hf:me/digits"


@pytest.fixture
def commit(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Zeros and ones of scikit-learn's digits on a hub, and an empty folder to work in."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.chdir(tmp_path)
    data, files = load_dataset("digits"), {}
    for split, part, count in (("train", data.train, 60), ("test", data.test, 20)):
        rows = (part.labels < 2).nonzero().squeeze(1)[:count]  # type: ignore[union-attr]
        taken = part.take(rows)
        content = images_and_labels(
            list(taken.images[:, 0].numpy()), taken.labels.tolist(), ("zero", "one")
        )
        files[f"data/{split}-00000-of-00001.parquet"] = content
    return hub.add("datasets/me/digits", {"README.md": b"---\nlicense: mit\n---\n", **files})


def test_a_network_of_one_s_own_is_attacked_on_the_test_images_alone(
    hub: Hub, commit: str, robench: Command
) -> None:
    Path("net.py").write_text(NET)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    torch.save(net.state_dict(), "net.pt")
    arguments = ("attack", "--model", "net.py:build", "--checkpoint", "net.pt", "--no-checks",
                 "--attacks", "fgsm", "--samples", 10)  # fmt: skip
    done = robench(*arguments, "--data", NAME)
    assert done.code == 0, done.err
    assert f"{NAME}@{commit}, 10 test images" in done.out.replace("\n", " ")
    assert not any("train" in path for path in hub.asked)

    refused = robench(*arguments, "--data", "hf:me/digits(label='lable')")
    assert (refused.code, refused.out) == (2, "")
    assert "hf:me/digits has no column 'lable'; did you mean 'label'?" in refused.err


def test_a_board_is_run_on_it_and_verified_after_a_newer_commit(
    hub: Hub, commit: str, robench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("tiny.toml").write_text(BOARD.replace('"digits"', f'"{NAME}"'))
    sizes = ("--set", "evaluation.samples=20", "--set", "training.epochs=1")
    done = robench("run", "tiny.toml", "--out", "out", "--defenses", "batchnorm", *sizes)
    assert done.code == 0, done.err
    [board] = [path.parent for path in Path("out").glob("*/leaderboard.csv")]
    assert set(pd.read_csv(board / "leaderboard.csv")["dataset"]) == {f"{NAME}@{commit}"}
    [cell] = Path("out/cells").iterdir()
    assert json.loads((cell / "spec.json").read_text())["data"]["name"] == f"{NAME}@{commit}"

    again = robench("run", "tiny.toml", "--out", "out", "--defenses", "batchnorm", *sizes)
    assert again.out.count(": stored") == 1
    hub.add("datasets/me/digits", {"data/test-00000-of-00001.parquet": b"changed"})
    verified = robench("verify", board)
    assert verified.code == 0, verified.out + verified.err
    assert "reproduced" in verified.out

    submitted = robench("submit", board, "--rows", "batchnorm", "--out", "mine")
    assert submitted.code == 0, submitted.err
    checked = robench("check-submission", "mine")
    assert checked.code == 0, checked.out + checked.err

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    attacked = robench("attack", cell, "--attacks", "fgsm", "--samples", 10)
    assert attacked.code == 0, attacked.err
    page = robench("page", board)
    assert page.code == 0, page.err


def test_out_of_reach_it_is_one_sentence(
    hub: Hub, commit: str, robench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("tiny.toml").write_text(BOARD)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = robench("run", "tiny.toml", "--set", f"data.name={NAME}", "--out", "out")
    assert (done.code, Path("out").exists()) == (2, False)
    assert "HF_HUB_OFFLINE is set, so the hub is not asked for hf:me/digits" in done.err


def test_it_is_listed_and_its_options_are_explained(robench: Command) -> None:
    assert "hf:ORG/NAME" in robench("list", "datasets").out
    told = robench("info", "hf").out
    assert "the column of the labels" in told
    assert "pip install 'robench[datasets]'" in told
