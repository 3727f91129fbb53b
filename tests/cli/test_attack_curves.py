"""``robench attack --curve``: accuracy at every radius, and how small perturbations are."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from support import Command
from torch import nn

from robench import UserError
from robench.cli.outputs import file_for_curve
from robench.commands.attack_curves import write_curves

MODEL = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    )
"""
FAB = "fab(minimal=true, steps=5)"
FMN = "foolbox:LInfFMNAttack(minimal=true, steps=20)"
DDN = "foolbox:DDNAttack(minimal=true, steps=20)"


@pytest.fixture
def attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_net: nn.Module) -> list[object]:
    """The command on a trained network, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(MODEL)
    torch.save(digits_net.state_dict(), "net.pt")
    return ["attack", "--no-checks", "--model", "net.py:build", "--checkpoint", "net.pt",
            "--data", "digits", "--samples", 40]  # fmt: skip


def test_the_curves_of_each_norm_are_written_and_drawn_and_sizes_are_in_the_table(
    robench: Command, attack: list[object]
) -> None:
    names = ",".join([FAB, FMN, DDN, "pgd-5"])
    done = robench(*attack, "--attacks", names, "--curve", "new/curve.csv", "--out", "table.csv")
    assert done.code == 0, done.err
    assert "no curve of pgd-5:" in done.out
    for words in ("local", "optimality", "matches", "worst case", "wrote new/curve.svg"):
        assert words in done.out
    curves = pd.read_csv("new/curve.csv")
    assert list(curves) == ["norm", "attack", "eps", "accuracy"]
    found = curves[["norm", "attack"]].drop_duplicates().to_numpy().tolist()
    assert found == [["linf", FAB], ["linf", FMN], ["linf", "worst case"], ["l2", DDN]]
    table = pd.read_csv("table.csv").set_index("attack")
    for name, curve in curves.groupby("attack"):
        assert curve["accuracy"].is_monotonic_decreasing
        assert curve["accuracy"].iloc[0] == table.loc["clean", "accuracy"]
        if name != "worst case":
            assert curve["accuracy"].iloc[-1] == table.loc[name, "accuracy"]
    assert table["norm"].dropna().to_dict() == {FAB: "linf", FMN: "linf", DDN: "l2"}
    assert table.loc[DDN, ["matches_best", "local_optimality"]].isna().all()  # alone in L2
    assert table.loc[[FAB, FMN], "matches_best"].between(0.01, 0.999).all()
    assert Path("new/curve.svg").read_text().startswith("<?xml")


def test_the_accuracies_are_those_without_it(robench: Command, attack: list[object]) -> None:
    arguments = (*attack, "--attacks", f"{FAB},pgd-5", "--out")
    assert robench(*arguments, "with.csv", "--curve", "curve.svg").code == 0
    assert robench(*arguments, "plain.csv").code == 0
    plain = pd.read_csv("plain.csv")
    pd.testing.assert_frame_equal(pd.read_csv("with.csv")[list(plain)], plain)
    assert "median_size" not in plain
    assert Path("curve.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--attacks", "pgd-5", "--curve", "c.csv"],
         "--curve needs an attack that looks for the smallest perturbation in linf or l2"),
        (["--attacks", "foolbox:DDNAttack(eps=0.5)", "--curve", "c.csv"],
         "with minimal=true foolbox:DDNAttack(eps=0.5) would have one"),
        (["--attacks", FAB, "--curve", "c.txt"], "--curve c.txt: name a file that ends in .csv"),
        (["--attacks", FAB, "--curve", "net.py/c.csv"], "net.py is a file, not a folder"),
        (["--attacks", FAB, "--curve", "c.csv", "--out", "c.csv"],
         "--curve and --out would both write c.csv; name another file"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(
    arguments: list[str], sentence: str, robench: Command, attack: list[object]
) -> None:
    done = robench(*attack, *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


def test_several_networks_have_no_curves(robench: Command) -> None:
    done = robench("attack", "one", "two", "--attacks", FAB, "--curve", "curve.csv")
    assert done.code == 2
    assert "--curve compares attacks on one network; name one checkpoint" in done.err


def test_the_files_of_a_curve_may_be_links_and_no_folders(tmp_path: Path) -> None:
    link, target = tmp_path / "curve.svg", tmp_path / "target.svg"
    link.symlink_to(target)
    columns = ["norm", "attack", "eps", "accuracy"]
    points = pd.DataFrame([["linf", "fab", 0.0, 1.0], ["linf", "fab", 0.1, 0.5]], columns=columns)
    path = file_for_curve(tmp_path / "curve.csv")
    assert path is not None
    assert write_curves(points, "a network", path) == [path, target.resolve()]
    assert link.is_symlink()
    assert target.read_text().startswith("<?xml")
    (tmp_path / "other.svg").mkdir()
    with pytest.raises(UserError, match=r"other\.svg: it is a folder"):
        file_for_curve(tmp_path / "other.csv")
