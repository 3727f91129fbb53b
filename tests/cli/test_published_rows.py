"""Commands on networks take BOARD/ROW, a row of a leaderboard, where they take a checkpoint."""

from pathlib import Path

import pandas as pd
import pytest
from support import Command

import robench as package

QUICK = Path(package.__file__).resolve().parents[1] / "leaderboards" / "quick"
FEW = ("--attacks", "fgsm", "--eps", "0.2", "--samples", 10, "--no-checks")


def weights(row: str) -> Path:
    [cell] = [c for c in package.Leaderboard.read(QUICK).cells if c.row == row]
    return QUICK / "weights" / f"{cell.file.cell.key}.safetensors"


@pytest.mark.parametrize("row", ["quick/vanilla", "quick/vanilla/0", f"{QUICK}/vanilla"])
def test_a_row_is_attacked_like_the_file_of_its_weights(
    robench: Command, tmp_path: Path, row: str
) -> None:
    for network, out in ((row, "row.csv"), (weights("vanilla"), "file.csv")):
        done = robench("attack", network, *FEW, "--out", tmp_path / out)
        assert done.code == 0, done.err
    tables = [pd.read_csv(tmp_path / name) for name in ("row.csv", "file.csv")]
    pd.testing.assert_frame_equal(*tables)


def test_rows_stand_beside_files_in_one_table(robench: Command) -> None:
    done = robench("attack", "quick/batchnorm", weights("vanilla"), *FEW)
    assert done.code == 0, done.err
    assert "batchnorm, seed 0" in done.out
    assert "vanilla, seed 0" in done.out


def test_rows_of_one_defense_are_told_apart_by_their_titles(robench: Command) -> None:
    done = robench("attack", "quick/batchnorm", "quick/batchnorm, trained normally", *FEW)
    assert done.code == 0, done.err
    assert "batchnorm, seed 0 (batchnorm)" in done.out
    assert "batchnorm, seed 0 (batchnorm, trained normally)" in done.out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("certify", "quick/vanilla", "--samples", 2), "2 test images"),
        (("show", "quick/vanilla", "--samples", 4, "--out", "s.png"), "wrote s.png"),
        (("spectra", "quick/vanilla", "--against", "quick/batchnorm", "--out", "s"), "wrote s/"),
    ],
    ids=["certify", "show", "spectra"],
)
def test_other_commands_take_rows_too(
    robench: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = robench(*command)
    assert done.code == 0, done.err
    assert said in done.out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("quick/convnom", "quick has no row 'convnom'; did you mean 'convnorm'"),
        ("quick/vanilla/7", "'vanilla' of quick has no seed 7; it has 0."),
        ("quick", "'quick' names no row: write quick/ROW; valid: batchnorm; batchnorm, trained"),
        (str(QUICK), f"'{QUICK}' names no row: write {QUICK}/ROW"),
        ("speedrun-cpu/N-FGSM, 8 epochs, batches of 64", "of speedrun-cpu, are not here"),
        ("quik/convnorm", "no checkpoint found at quik/convnorm."),
        ("none.safetensors", "no checkpoint found at none.safetensors."),
    ],
)
def test_a_row_that_is_not_there_is_said_in_a_sentence(
    robench: Command, name: str, sentence: str
) -> None:
    done = robench("attack", name, *FEW)
    assert done.code == 2
    assert sentence in done.err.replace("\n", " ")
