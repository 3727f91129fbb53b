"""``robench certify``: what is proved and what an attack finds, in a table, as JSON and as CSV."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import Command
from torch import nn

from robench.data import load_dataset

MODEL = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def unproved():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))
"""

CERTIFY = ("certify", "--data", "digits", "--samples", 60, "--radii", "0.1,0.3", "--quiet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A linear network for digits, trained."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(MODEL)
    data = load_dataset("digits").train
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            images = data.images.float() / 255  # type: ignore[union-attr]
            nn.functional.cross_entropy(net(images), data.labels).backward()  # type: ignore[union-attr]
            optimizer.step()
    torch.save(net.state_dict(), "net.pt")
    return tmp_path


def test_certified_accuracy_stands_beside_the_attacked_one(robench: Command, folder: Path) -> None:
    done = robench(*CERTIFY, "--model", "net.py:build", "--checkpoint", "net.pt")
    assert done.code == 0
    assert "unsound" in done.out
    said = " ".join(done.out.split())
    assert "proved of the network computed in float64, on 60 images" in said


def test_the_figures_as_json_and_the_radius_of_each_image(robench: Command, folder: Path) -> None:
    done = robench(
        *CERTIFY, "--model", "net.py:build", "--checkpoint", "net.pt", "--json", "--csv", "r.csv"
    )
    found, radii = json.loads(done.out), pd.read_csv("r.csv")["radius"]
    near, far = found["radii"]
    assert found["unsound"] == near["unsound"] == far["unsound"] == 0
    assert found["clean"] >= near["attacked"] >= near["certified"] > far["certified"]
    # For a linear network, the proof leaves nothing between it and a good attack.
    assert near["attacked"] - near["certified"] < 0.05
    assert near["certified"] == pytest.approx((radii >= 0.1).mean())
    assert len(radii) == found["images"] == 60
    assert found["mean_radius"] == pytest.approx(radii.mean())
    assert [layer["kind"] for layer in found["layers"]] == ["Flatten", "Linear"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model", "net.py:unproved"), "layer '2': no bound is proved for a Softmax."),
        (("--model", "net.py:build", "--radii", "0.1,zero"), "'zero' is not a radius"),
        (("--model", "net.py:build", "--radii", "-1"), "'-1' is not a radius"),
        (("--model", "net.py:build", "--attack", "noise(norm='linf')"), "works in linf"),
        (("--model", "net.py:build", "--attack", "simba"), "not keep to a ball in L2"),
        (("--model", "net.py:build", "--attack", "corruption"), "not keep to a ball in L2"),
        ((), "give either a checkpoint trained by robench or a --model of your own"),
    ],
)
def test_bad_input_is_one_sentence(
    robench: Command, folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = robench(*CERTIFY, *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert "Traceback" not in done.err
