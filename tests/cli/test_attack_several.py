"""``robench attack CELL CELL ...``: one table with a row per network."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from support import TINY_BOARD, Command

from robench.board.loading import read_board
from robench.runs.run import train_row


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two trained networks; the second with another seed."""
    root = tmp_path_factory.mktemp("several")
    (root / "tiny.toml").write_text(TINY_BOARD.replace("epochs = 2", "epochs = 1"))
    board = read_board(root / "tiny.toml").model_copy(update={"defenses": ("batchnorm",)})
    return [
        train_row(board.model_copy(update={"seeds": (seed,)}), out=root).path for seed in (0, 1)
    ]


ATTACK = ("--attacks", "fgsm,pgd-2", "--eps", "0.1", "--samples", 20)


def test_several_networks_are_attacked_on_the_same_images(
    robench: Command, cells: list[Path], tmp_path: Path
) -> None:
    done = robench("attack", *cells, *ATTACK, "--out", tmp_path / "all.csv")
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "all.csv")
    networks = ["batchnorm, seed 0", "batchnorm, seed 1"]
    assert list(dict.fromkeys(table["network"])) == networks
    assert list(dict.fromkeys(table["checkpoint"])) == [str(cell) for cell in cells]
    assert set(table["images"]) == {"digits, 20 test images"}
    for name in (*networks, "fgsm", "pgd-2", "digits, 20 test images"):
        assert name in done.out

    # Each figure is the one that the network has alone.
    for cell, network in zip(cells, networks, strict=True):
        assert robench("attack", cell, *ATTACK, "--out", tmp_path / "one.csv").code == 0
        alone = pd.read_csv(tmp_path / "one.csv")
        of_all = table[table["network"] == network].drop(
            columns=["network", "checkpoint", "images", "gradients"]
        )
        pd.testing.assert_frame_equal(alone, of_all.reset_index(drop=True))


def test_networks_of_one_name_are_told_apart_by_their_folders(
    robench: Command, cells: list[Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(cells[0], tmp_path / "copy"))
    done = robench("attack", cells[0], copy, *ATTACK)
    assert done.code == 0, done.err
    assert "batchnorm, seed 0 (copy)" in done.out


def test_files_of_one_folder_are_told_apart_by_their_names(
    robench: Command, cells: list[Path], tmp_path: Path
) -> None:
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for file in files:
        shutil.copy(cells[0] / "weights.safetensors", file)
    done = robench("attack", *files, *ATTACK)
    assert done.code == 0, done.err
    assert "batchnorm, seed 0 (one)" in done.out
    assert "batchnorm, seed 0 (two)" in done.out


def test_folders_of_one_name_are_told_apart_by_their_paths(
    robench: Command, cells: list[Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(cells[0], tmp_path / "other" / cells[0].name))
    done = robench("attack", cells[0], copy, *ATTACK, "--out", tmp_path / "all.csv")
    assert done.code == 0, done.err
    networks = pd.read_csv(tmp_path / "all.csv")["network"].unique()
    assert list(networks) == [f"batchnorm, seed 0 ({path})" for path in (cells[0], copy)]


def test_a_network_that_is_listed_twice_is_refused(robench: Command, cells: list[Path]) -> None:
    done = robench("attack", cells[0], cells[1], cells[0], *ATTACK)
    assert done.code == 2
    assert f"{cells[0].name} is listed twice; list it once." in done.err.replace("\n", "")


def test_networks_are_checked_on_request(
    robench: Command, cells: list[Path], tmp_path: Path
) -> None:
    few = ("--attacks", "fgsm", "--eps", "0.1", "--samples", 6, "--checks")
    done = robench("attack", *cells, *few, "--out", tmp_path / "all.csv")
    assert done.code == 0, done.err
    for seed in (0, 1):
        assert f"batchnorm, seed {seed}: checks at Linf 0.1 on 6 of 6 images: " in done.out
    assert "flags" in pd.read_csv(tmp_path / "all.csv")


def test_a_diverged_network_is_left_out_and_a_damaged_one_costs_no_work(
    robench: Command, cells: list[Path], tmp_path: Path
) -> None:
    diverged = tmp_path / "diverged"
    diverged.mkdir()
    (diverged / "diverged.json").write_text("{}")
    done = robench("attack", *cells, diverged, *ATTACK)
    assert done.code == 0, done.err
    assert f"{diverged} was left out: its training diverged." in done.out
    (tmp_path / "empty").mkdir()
    refused = robench("attack", *cells, tmp_path / "empty", *ATTACK)
    assert refused.code == 2
    assert "no checkpoint found" in refused.err
    assert "attacking" not in refused.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--model", "timm:resnet18"), "leave out --model"),
        (("--cross-check",), "name one checkpoint"),
    ],
)
def test_what_is_for_one_network_is_refused_for_several(
    robench: Command, cells: list[Path], options: tuple[str, ...], sentence: str
) -> None:
    done = robench("attack", *cells, *options)
    assert done.code == 2
    assert sentence in done.err
