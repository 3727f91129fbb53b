"""``robench attack``: any model, any library's attacks, comparisons and curves."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from support import Command

from robench.data import load_dataset
from robench.evaluation.victim import Victim

MODEL = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
        nn.Linear(128, 10),
    )

def one_class():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))

def of_other_images():
    return nn.Sequential(nn.Flatten(), nn.Linear(99, 10))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, its trained weights, and digits as image files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    scope: dict[str, object] = {}
    exec(MODEL, scope)
    data = load_dataset("digits")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = scope["build"]()  # type: ignore[operator]
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for epoch in range(3):
            generator = torch.Generator().manual_seed(epoch)
            for images, labels in data.train.batches(64, generator=generator):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(images), labels).backward()
                optimizer.step()
    torch.save(model.state_dict(), tmp_path / "net.pt")
    for part, source in (("train", data.train), ("test", data.test)):
        for i in range(60):
            path = tmp_path / "my-digits" / part / str(int(source.labels[i])) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(source.images[i, 0].numpy()).save(path)
    return tmp_path


def test_your_own_model_on_an_image_folder_with_every_kind_of_attack(
    robench: Command, folder: Path
) -> None:
    done = robench(
        "attack", "--model", "net.py:build", "--checkpoint", "net.pt",
        "--data", "image_folder:my-digits", "--samples", 40, "--eps", "0.1", "--step-size", "0.03",
        "--attacks", "fgsm,pgd-4,simba(max_steps=10),torchattacks:MIFGSM,foolbox:LinfPGD(steps=3)",
        "--cross-check", "--without", "bf16", "--out", "tables/all.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = pd.read_csv("tables/all.csv").set_index("attack")
    assert table.loc["clean", "accuracy"] > 0.7
    assert (table["accuracy"] <= table.loc["clean", "accuracy"]).all()
    assert table.index[-1] == "worst case (linf 0.1)"
    assert table.loc["torchattacks:MIFGSM", "mean_backwards"] == 10
    assert table["survive_rounding"].dropna().between(0, 1).all()
    curve = pd.read_csv("tables/all.queries.csv")
    assert set(curve["attack"]) == {"simba(max_steps=10)"}
    assert curve["success"].is_monotonic_increasing
    assert Path("tables/all.queries.svg").read_text().startswith("<?xml")
    compared = pd.read_csv("tables/all.cross-check.csv")
    assert set(compared["library"]) == {"torchattacks", "foolbox"}
    assert compared["beyond_chance"].isna().all()
    for words in (
        "net.py:build; my-digits, 40 test images",
        "same",
        "prediction",
        "more than chance",
    ):
        assert words.replace("more than chance", "chance") in done.out


def test_a_radius_alone_sets_the_step_of_every_attack(robench: Command, folder: Path) -> None:
    names = ("pgd-3", "torchattacks:PGD(steps=3)", "foolbox:LinfPGD(steps=3)")
    arguments = ("attack", "--model", "net.py:build", "--checkpoint", "net.pt", "--data", "digits",
                 "--samples", 100, "--eps", "0.4", "--attacks", ",".join(names))  # fmt: skip
    assert robench(*arguments, "--out", "radius.csv").code == 0
    assert robench(*arguments, "--step-size", "0.1", "--out", "both.csv").code == 0
    assert Path("radius.csv").read_text() == Path("both.csv").read_text()
    assert robench(*arguments, "--step-size", "2/255", "--out", "small.csv").code == 0
    tables = [pd.read_csv(file).set_index("attack") for file in ("both.csv", "small.csv")]
    strong, weak = (table["accuracy"] for table in tables)
    assert (strong[list(names)] < weak[list(names)]).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give either a checkpoint trained by robench or a --model"),
        (["x", "--model", "net:build"], "give either a checkpoint"),
        (["x", "--checkpoint", "net.pt"], "--checkpoint holds the weights of --model"),
        (["--model", "net:build"], "--model needs a data set; give --data image_folder:DIR"),
        (["--model", "net:one_class", "--data", "digits"],
         r"returns (1, 1) for one image, but digits has 10 classes"),
        (["--model", "net:of_other_images", "--data", "digits"],
         "cannot take images of 1x8x8 from digits"),
        (["--model", "net:build", "--data", "digits", "--without", "fp16"],
         "no shortcut is named 'fp16'; did you mean 'bf16'"),
        (["--model", "net:build", "--data", "digits", "--attacks", "torchattacks:PDG"],
         "torchattacks has no attack named 'PDG'"),
        (["--model", "net:build", "--checkpoint", "net.py", "--data", "digits"],
         "net.py is not a complete file of torch.save"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(
    arguments: list[str], sentence: str, robench: Command, folder: Path
) -> None:
    done = robench("attack", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--attacks", "fgms"], "no attack is named 'fgms'"),
        (["--without", "fp16"], "no shortcut is named 'fp16'"),
        (["--indices", "first:0"], "has no images"),
    ],
)
def test_a_wrong_name_is_refused_before_the_network_and_the_images_are_looked_for(
    arguments: list[str], sentence: str, robench: Command
) -> None:
    done = robench("attack", "nowhere.safetensors", *arguments)
    assert done.code == 2
    assert sentence in done.err


def test_out_of_memory_is_reported_and_changes_no_result(
    robench: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("attack", "--model", "net:build", "--checkpoint", "net.pt", "--data", "digits",
                 "--samples", 100, "--attacks", "pgd-3", "--out")  # fmt: skip
    assert robench(*arguments, "whole.csv").code == 0
    asked = Victim._ask

    def small(self: Victim, model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return asked(self, model, images)

    monkeypatch.setattr(Victim, "_ask", small)
    done = robench(*arguments, "halved.csv")
    assert done.code == 0
    assert done.err == "robench: out of memory with 100 images at a time: continuing with 50\n"
    assert Path("halved.csv").read_text() == Path("whole.csv").read_text()


def test_the_attacks_of_libraries_are_listed(robench: Command) -> None:
    done = robench("list", "attacks")
    for name in ("autoattack", "torchattacks:Square", "foolbox:LinfDeepFoolAttack"):
        assert name in done.out
