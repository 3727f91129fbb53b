"""``robench attack --model``: weights and normalization are chosen and said; causes are hinted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support import Command
from torch import nn

from robench.data import load_dataset

MODEL = """
import torch
from torch import nn

class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.5))
    def forward(self, x):
        return (x - self.mean) / 0.25

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def normalized():
    return nn.Sequential(Norm(), build())

def of_nan_gradients():
    class Root(nn.Module):
        def forward(self, x):
            return x + 0 * (x - x).sqrt()
    return nn.Sequential(Root(), build())

def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))

def pair():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x
    return nn.Sequential(build(), Pair())

def half():
    return build().half()

def complex():
    class Complex(nn.Module):
        def forward(self, x):
            return torch.complex(x, x)
    return nn.Sequential(build(), Complex())

def without_grad():
    class WithoutGrad(nn.Module):
        def forward(self, x):
            x.numpy()
            return x
    return nn.Sequential(WithoutGrad(), build())

def third_call_fails():
    class Fails(nn.Module):
        calls = 0
        def forward(self, x):
            self.calls += 1
            if self.calls > 3:
                raise ValueError("no more calls")
            return x
    return nn.Sequential(build(), Fails())

class Not(nn.Module):
    def forward(self, x):
        return x / 0 - x / 0

def of_nan_logits():
    return nn.Sequential(build(), Not())

class Prints(nn.Module):
    def forward(self, x):
        print("I am called")
        return x

def prints():
    return nn.Sequential(build(), Prints())

class Forgets(nn.Module):
    def forward(self, x):
        x + 1

def forgets():
    return nn.Sequential(build(), Forgets())

class Unflattened(nn.Module):
    def forward(self, x):
        return x.reshape(7, -1)

def unflattened():
    return nn.Sequential(Unflattened(), build())
"""


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, torch.Tensor]]:
    """Weights of a linear network for digits that are normalized: trained, and untrained."""
    data = load_dataset("digits")
    images = (data.train.images.float() / 255 - 0.5) / 0.25  # type: ignore[union-attr]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        raw = {k: torch.zeros_like(v) for k, v in net.state_dict().items()}
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), data.train.labels).backward()  # type: ignore[union-attr]
            optimizer.step()
    return {"trained": {k: v.detach().clone() for k, v in net.state_dict().items()}, "raw": raw}


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: dict[str, dict[str, torch.Tensor]]
) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(MODEL)
    torch.save(states["trained"], "net.pt")
    torch.save({"state_dict": states["raw"], "state_dict_ema": states["trained"]}, "both.pt")
    Path("page.pt").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    return tmp_path


ATTACK = (
    "attack",
    "--no-checks",
    "--data",
    "digits",
    "--samples",
    50,
    "--attacks",
    "fgsm",
    "--model",
)


def clean(out: str) -> float:
    line = next(line for line in out.splitlines() if line.split()[:1] == ["clean"])
    return float(line.split()[2].rstrip("%"))


def test_mean_and_std_are_put_before_the_bare_network_and_said(
    robench: Command, folder: Path
) -> None:
    arguments = (*ATTACK, "net.py:build", "--checkpoint", "net.pt")
    bare = robench(*arguments)
    assert "net.py:build: nothing is put before the network" in bare.out
    given = robench(*arguments, "--mean", "0.5", "--std", "0.25")
    assert given.code == 0, given.err
    assert "images are normalized with mean 0.5 and std 0.25 (--mean and --std)" in given.out
    assert clean(given.out) > 85
    assert clean(given.out) != clean(bare.out)
    assert "near chance" not in given.out
    named = robench(*arguments, "--normalize", "digits")
    assert "(digits)" in named.out
    within = robench(*ATTACK, "net.py:normalized", "--checkpoint", "net.pt")
    assert clean(within.out) == clean(given.out)
    assert "net.pt holds the weights of the part '1' of the network" in within.out


def test_averaged_weights_are_the_default_and_raw_ones_can_be_chosen(
    robench: Command, folder: Path
) -> None:
    arguments = (*ATTACK, "net.py:normalized", "--checkpoint", "both.pt")
    default, raw = robench(*arguments), robench(*arguments, "--weights", "raw")
    assert "took the averaged (EMA) ones, 'state_dict_ema'; --weights raw takes" in default.out
    assert "took the raw ones, 'state_dict'" in raw.out
    assert clean(default.out) > 85
    assert clean(raw.out) < 15
    assert "clean accuracy is only 10.0% of 10 classes (chance is 10.0%); likely causes:" in raw.out


def test_chance_is_that_of_the_logits_and_not_of_the_labels_that_occur(
    robench: Command, folder: Path
) -> None:
    data = load_dataset("digits").test
    two = data.labels < 2  # type: ignore[union-attr]
    images, labels = data.images[two].numpy(), data.labels[two].numpy()  # type: ignore[union-attr]

    def said(wrong: float) -> str:
        swapped = np.arange(len(labels)) < wrong * len(labels)
        np.savez("two.npz", images=images, labels=np.where(swapped, 1 - labels, labels))
        attack = (*ATTACK[:2], "--data", "two.npz", "--attacks", "fgsm", "--model", "net.py:build")
        done = robench(*attack, "--checkpoint", "net.pt", "--mean", "0.5", "--std", "0.25")
        assert done.code == 0, done.err
        return done.out

    assert 35 < clean(half := said(0.5)) < 60
    assert "clean accuracy is only" not in half
    assert "% of 10 classes (chance is 10.0%)" in said(0.9)


def test_gradients_that_lead_nowhere_are_said(robench: Command, folder: Path) -> None:
    done = robench(*ATTACK, "net.py:of_nan_gradients")
    assert done.code == 0
    assert "robench: the model's gradient is NaN or infinite on 16 of 16 clean images" in done.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["net.py:lazy"], "'1.weight' belongs to a lazy layer"),
        (["net.py:half"], "weights are float16 ('1.weight')"),
        (["net.py:complex"], "the model returns complex numbers; logits must be real"),
        (["net.py:forgets"], "the model returns nothing (a 'return' may be missing)"),
        (["net.py:unflattened"], "net.py, line 83)"),
        (["net.py:buidl"], "net.py has no 'buidl'; did you mean 'build'?"),
        (["net.py:pair"], "returns a tuple of 2: (1, 10), (1, 10); it must return logits alone"),
        (["net.py"], "--model 'net.py': write timm:NAME"),
        ([r"C:\nets.py:build"], r"no model file found at C:\nets.py"),
        (["net.py:build", "--checkpoint", "page.pt"], "page.pt is a web page and not a file of"),
        (["net.py:build", "--weights", "ema"], "--weights chooses among the weights of a file"),
        (["net.py:build", "--checkpoint", "net.pt", "--weights", "emma"],
         "--weights emma: did you mean 'ema'"),
        (["net.py:build", "--checkpoint", "net.pt", "--weights", "ema"],
         "net.pt holds only raw weights"),
        (["net.py:build", "--mean", "0.5"], "--mean and --std belong together"),
        (["net.py:build", "--normalize", "cifar10"],
         "the mean and std before it have 3 channels, but the images have 1: give --mean"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(
    arguments: list[str], sentence: str, robench: Command, folder: Path
) -> None:
    done = robench(*ATTACK, *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


def test_logits_that_are_not_finite_are_named_before_any_other_cause(
    robench: Command, folder: Path
) -> None:
    done = robench(*ATTACK, "net.py:of_nan_logits")
    assert "on 16 of 16 images the network returns logits that are NaN or infinite" in done.out
    assert "likely causes" not in done.out


def test_a_network_that_fails_after_the_attack_costs_no_figure(
    robench: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("robench.commands.attack.first_logits", fails)
    done = robench(*ATTACK, "net.py:build", "--out", "table.csv")
    assert done.code == 0, done.err
    assert "clean accuracy is only" in done.out
    assert Path("table.csv").exists()


def test_an_error_in_a_folder_of_weights_is_no_missing_download(
    robench: Command, folder: Path
) -> None:
    Path("weights").mkdir()
    Path("weights/net.py").write_text("def build():\n    return {}['width']\n")
    done = robench(*ATTACK, "weights/net.py:build")
    assert done.code == 2
    assert "cannot be built (KeyError: 'width', in " in done.err
    assert "download" not in done.err


def test_without_a_file_of_weights_untrained_ones_are_a_likely_cause(
    robench: Command, folder: Path
) -> None:
    torch.save({k: torch.zeros_like(v) for k, v in torch.load("net.pt").items()}, "zero.pt")
    none = robench(*ATTACK, "net.py:build")
    given = robench(*ATTACK, "net.py:build", "--checkpoint", "zero.pt")
    assert "untrained weights (no --checkpoint was given)." in none.out
    assert "or other weights." in given.out


def test_json_is_alone_on_standard_output_whatever_a_network_prints(
    robench: Command, folder: Path
) -> None:
    done = robench(*ATTACK, "net.py:prints", "--json")
    assert done.code == 0, done.err
    assert [row["attack"] for row in json.loads(done.out)] == ["clean", "fgsm"]
    assert "I am called" in done.err


def test_safetensors_are_read_whatever_their_file_is_called(robench: Command, folder: Path) -> None:
    save_file(torch.load("net.pt"), "net.bin")
    done = robench(*ATTACK, "net.py:build", "--checkpoint", "net.bin")
    named = robench(*ATTACK, "net.py:build", "--checkpoint", "net.pt")
    assert done.code == 0, done.err
    assert clean(done.out) == clean(named.out)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("net.py:build", "a network of your own is named by --model net.py:build."),
        ("net.pt", "net.pt is not a file of robench's; name your own network with --model, and "
         "this file with --checkpoint."),
    ],
)  # fmt: skip
def test_a_network_of_ones_own_in_the_place_of_a_checkpoint_is_answered_with_the_options(
    argument: str, sentence: str, robench: Command, folder: Path
) -> None:
    done = robench("attack", argument)
    assert done.code == 2
    assert done.err.endswith(f"{sentence}\n")


def test_no_attack_at_all_is_refused(robench: Command, folder: Path) -> None:
    done = robench("attack", "--model", "net.py:build", "--data", "digits", "--attacks", " ")
    assert done.code == 2
    assert "no attack is named; name one, such as pgd-20" in done.err


def test_options_of_ones_own_model_need_one(robench: Command, folder: Path) -> None:
    done = robench("attack", "weights.safetensors", "--normalize", "none")
    assert done.code == 2
    assert "--normalize is an option of --model" in done.err


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("without_grad", "net.py, line 45, raises RuntimeError: Can't call numpy()"),
        ("third_call_fails", "net.py, line 55, raises ValueError: no more calls"),
    ],
)
def test_a_network_that_fails_under_attack_is_named_with_its_line(
    model: str, sentence: str, robench: Command, folder: Path
) -> None:
    done = robench(*ATTACK, f"net.py:{model}")
    assert done.code == 2
    assert sentence in done.err.splitlines()[-1]
