"""``robench attack``: any model, any library's attacks, comparisons and curves."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from support import Command

from robench.data import load_dataset
from robench.evaluation.victim import Victim

ATTACK = ("attack", "--no-checks")

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
        *ATTACK, "--model", "net.py:build", "--checkpoint", "net.pt",
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
    assert set(compared["library"]) >= {"torchattacks", "foolbox"}
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
    arguments = (*ATTACK, "--model", "net.py:build", "--checkpoint", "net.pt", "--data", "digits",
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
        (["x", "--model", "net:build"],
         "if x holds the weights of --model, pass it as --checkpoint x"),
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
    done = robench(*ATTACK, *arguments)
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
    arguments = (*ATTACK, "--model", "net:build", "--checkpoint", "net.pt", "--data", "digits",
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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--attacks", "simba", "--eps", "0.2"],
         "eps = 0.2 reaches none of the attacks (simba): none has this option; did you mean"),
        (["--attacks", "torchattacks:PGD", "--norm", "l2"], "it works in linf only"),
        (["--attacks", "pgd,torchattacks:PGD", "--norm", "l2", "--eps", "0.5"],
         "'torchattacks:PGD' works in linf, but eps = 0.5 is meant for l2"),
        (["--attacks", "fgsm", "--norm", "l2"], "--norm l2 needs a radius of its own: give --eps"),
        (["--attacks", "foolbox:LinfPGD", "--eps", "8"], "write '8/255'"),
        (["--attacks", "pgd(norm='l2', eps=20)"], "are at most 8 apart in l2: write '20/255'"),
    ],
)  # fmt: skip
def test_a_threat_model_that_does_not_reach_its_attacks_is_refused(
    arguments: list[str], sentence: str, robench: Command, folder: Path
) -> None:
    done = robench(*ATTACK, "--model", "net:build", "--data", "digits", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


def test_what_does_not_reach_an_attack_is_said_and_nothing_else(
    robench: Command, folder: Path
) -> None:
    arguments = (*ATTACK, "--model", "net:build", "--checkpoint", "net.pt", "--data", "digits",
                 "--samples", 50, "--attacks",
                 "pgd-3,pgd-3(eps=0.3),simba(max_steps=2)")  # fmt: skip
    silent = robench(*arguments)
    assert silent.code == 0, silent.err
    assert "--eps" not in silent.out
    assert "--step-size" not in silent.out
    told = robench(*arguments, "--eps", "8/255", "--step-size", "2/255")
    assert "--eps 8/255 does not reach simba(max_steps=2), whose options are basis," in told.out
    assert "--step-size 2/255 is not used by pgd-3(eps=0.3), which sets a radius" in told.out
    assert told.out[told.out.index("net:build") :] == silent.out


def test_a_radius_of_a_call_s_own_is_reached_whatever_the_step_of_the_others(
    robench: Command, folder: Path
) -> None:
    arguments = (*ATTACK, "--model", "net:build", "--checkpoint", "net.pt", "--data", "digits",
                 "--samples", 100, "--attacks", "pgd-5(eps=0.3)", "--out")  # fmt: skip
    assert robench(*arguments, "alone.csv").code == 0
    assert robench(*arguments, "shared.csv", "--step-size", "2/255").code == 0
    assert Path("shared.csv").read_text() == Path("alone.csv").read_text()


def test_a_misbehaving_attack_of_a_plugin_ends_in_one_sentence(
    robench: Command, folder: Path
) -> None:
    Path("mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from robench import Adversarial, Attack, register_attack\n"
        "@register_attack('leaves_its_ball')\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Attack):\n"
        "    eps: float = 0.1\n"
        "    def perturb(self, model, images, labels, rngs):\n"
        "        return Adversarial((images + 0.5).clamp(0, 1))\n"
    )
    done = robench(*ATTACK, "--model", "net:build", "--data", "digits", "--samples", 20,
                   "--plugin", "mine.py", "--attacks", "leaves_its_ball")  # fmt: skip
    assert done.code == 2
    assert "the attack Mine left its linf ball of radius 8/255: it moved an image" in done.err
    assert len(done.err.splitlines()) == 1


def test_the_table_says_the_precision_of_gradients_and_the_radius_as_typed(
    robench: Command, folder: Path
) -> None:
    arguments = (*ATTACK, "--model", "net:build", "--data", "digits", "--samples", 20, "--eps",
                 "8/255", "--attacks", "fgsm,pgd-2", "--without", "bf16")  # fmt: skip
    out = robench(*arguments).out
    assert "gradients: float32; predictions: float32" in out
    assert "worst case (linf 8/255)" in out


def test_an_adaptive_attack_that_a_network_does_not_have_is_said_to_be_none(
    robench: Command, folder: Path
) -> None:
    options = ("--model", "net.py:build", "--checkpoint", "net.pt", "--data", "digits")
    done = robench(*ATTACK, *options, "--attacks", "adaptive", "--samples", "10")
    assert done.code == 0, done.err
    assert "adaptive: this network comes with no attack against itself" in done.out
