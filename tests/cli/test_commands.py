"""``robench train``, ``attack``, ``list`` and ``new``."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support import Command, changed_board


def train(robench: Command, board: Path, out: Path, defense: str = "batchnorm") -> Path:
    done = robench("train", defense, "--board", board, "--out", out, "--seed", 1)
    assert done.code == 0, done.err
    return Path(done.out.split("Weights: ")[1].strip())


def test_train_prints_where_the_weights_are(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    weights = train(robench, tiny_board, tmp_path / "out")
    assert weights.name == "weights.safetensors"
    assert weights.is_file()


def test_train_attacks_nothing_and_needs_no_images_to_attack(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    many = ("--set", "evaluation.samples=1000", "--set", "training.epochs=1", "--out", tmp_path)
    done = robench("run", tiny_board, *many)
    assert done.code == 2
    assert "asks for 1000 test images" in done.err
    done = robench("train", "batchnorm", "--board", tiny_board, *many)
    assert done.code == 0, done.err


def test_attack_reads_the_network_from_the_checkpoint_and_writes_a_table(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    weights = train(robench, tiny_board, tmp_path / "out", "convnorm(bn=False)")
    done = robench(
        "attack", weights.parent, "--attacks", "fgsm,pgd-3(random_start=false)", "--eps", "0.1",
        "--step-size", "12/255", "--samples", 50, "--out", tmp_path / "table.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "pgd-3" in done.out
    table = pd.read_csv(tmp_path / "table.csv").set_index("attack")
    worst = "worst case (linf 0.1)"
    assert list(table.index) == ["clean", "fgsm", "pgd-3(random_start=false)", worst]
    assert (table["samples"] == 50).all()
    assert table.loc["fgsm", "accuracy"] <= table.loc["clean", "accuracy"]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("defenses", ["vanilla", "convnorm", "2103.00673"]),
        ("attacks", ["pgd", "simba"]),
        ("datasets", ["mnist5k", "cifar10", "image_folder"]),
        ("models", ["resnet18", "vgg16"]),
        ("checks", ["eps_sweep", "binarization", "1902.06705"]),
        ("boards", ["quick"]),
    ],
)
def test_list_shows_names_and_what_they_are(robench: Command, kind: str, names: list[str]) -> None:
    done = robench("list", kind)
    assert done.code == 0, done.err
    assert all(name in done.out for name in names)


def test_a_new_defense_works_as_written_and_so_does_its_test(
    robench: Command, tiny_board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert robench("new", "defense", "scaffolded").code == 0
    done = robench(
        "run", tiny_board, "--plugin", "defenses/scaffolded.py", "--defenses", "scaffolded",
        "--set", "training.epochs=1", "--set", "evaluation.samples=20",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = pd.read_csv(changed_board(tmp_path / "runs") / "leaderboard.csv")
    assert list(table["defense"]) == ["scaffolded"]
    assert own_test_passes(tmp_path / "tests" / "defenses" / "test_scaffolded_defense.py")


def test_a_new_attack_works_as_written_and_so_does_its_test(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert robench("new", "attack", "random_search").code == 0
    assert own_test_passes(tmp_path / "tests" / "attacks" / "test_random_search_attack.py")


@pytest.mark.parametrize("kind", ["dataset", "backbone", "check"])
def test_a_new_entry_of_another_kind_works_as_written_and_so_does_its_test(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = robench("new", kind, "scaffolded")
    assert done.code == 0, done.err
    assert f"--plugin {kind}s/scaffolded.py" in done.out
    assert own_test_passes(tmp_path / "tests" / f"{kind}s" / f"test_scaffolded_{kind}.py")


def test_new_overwrites_nothing(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "defenses").mkdir()
    (tmp_path / "defenses" / "precious.py").write_text("mine")
    done = robench("new", "defense", "precious")
    assert done.code == 2
    assert "already exists" in done.err
    assert (tmp_path / "defenses" / "precious.py").read_text() == "mine"
    assert not (tmp_path / "tests").exists()


def own_test_passes(test: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=test.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    return done.returncode == 0


def test_spectra_writes_a_table_and_a_picture_of_trained_networks(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    weights = [
        train(robench, tiny_board, tmp_path / name, name) for name in ("vanilla", "convnorm")
    ]
    out = tmp_path / "spectra"
    done = robench("spectra", weights[1], "--against", weights[0].parent, "--out", out)
    assert done.code == 0, done.err
    assert "cond(vanilla) / cond(network)" in done.out
    assert "convnorm: measuring 7 layers" in done.out
    table = pd.read_csv(out / "spectra.csv")
    assert set(table["network"]) == {"vanilla", "convnorm"}
    ratios = pd.read_csv(out / "ratios.csv").set_index(["network", "operator"])
    assert ratios.loc[("vanilla", "convolution"), "arithmetic"] == 1
    picture = (out / "spectra.svg").read_text(encoding="utf-8")
    assert "digits, resnet8 of width 4, seed 1" in picture
    first = (out / "spectra.svg").read_bytes()
    robench("spectra", weights[1], "--against", weights[0].parent, "--out", out)
    assert (out / "spectra.svg").read_bytes() == first


def test_spectra_names_a_checkpoint_that_is_not_there(robench: Command, tmp_path: Path) -> None:
    done = robench("spectra", tmp_path / "no", "--out", tmp_path / "spectra")
    assert done.code == 2
    assert "no checkpoint found" in done.err
    assert not (tmp_path / "spectra").exists()
