"""``--log``: trackers follow a run, and change nothing of it."""

import json
from pathlib import Path

import pandas as pd
import pytest
from support import Command, changed_board, made_files

pytestmark = pytest.mark.usefixtures("only_the_suite")  # plugins of other tests would travel, too

SMALL = (
    "--defenses=batchnorm",
    "--set=evaluation.samples=20",
    "--set=evaluation.attacks=['pgd-4']",
)


def logged(out: Path) -> Path:
    [folder] = (out / "logs" / "csv").glob("*/batchnorm-seed0")
    return folder


def test_a_run_is_logged_once_and_is_the_same_as_without(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    plain, out = tmp_path / "plain", tmp_path / "runs"
    assert robench("run", tiny_board, *SMALL, "--jobs=1", "--out", plain).code == 0
    for _ in range(2):
        done = robench("run", tiny_board, *SMALL, "--jobs=1", "--out", out, "--log=csv")
        assert done.code == 0, done.err
        assert f"Logs: {out / 'logs'}" in done.out
    metrics = pd.read_csv(logged(out) / "metrics.csv")
    epochs = metrics.dropna(subset="train_loss")
    assert epochs["step"].tolist() == [1, 2]
    [cell] = (out / "cells").iterdir()
    log = pd.read_csv(cell / "training.csv")
    assert epochs["train_loss"].tolist() == pytest.approx(log["train_loss"].tolist())
    table = pd.read_csv(changed_board(out) / "leaderboard.csv")
    [accuracy] = metrics["accuracy/pgd-4"].dropna()
    assert accuracy == pytest.approx(table["pgd-4_mean"][0])
    params = json.loads((logged(out) / "hparams.json").read_text())
    assert params["cell"] == cell.name
    assert made_files(out) == made_files(plain)
    assert not (plain / "logs").exists()


def test_cells_that_other_processes_train_are_logged(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    small = [*SMALL[1:], "--jobs=2", "--out", tmp_path, "--log", "csv", "--quiet"]
    done = robench("run", tiny_board, *small)
    assert done.code == 0, done.err
    for row in ("batchnorm", "convnorm"):
        [file] = (tmp_path / "logs" / "csv").glob(f"*/{row}-seed0/metrics.csv")
        metrics = pd.read_csv(file)
        assert metrics.dropna(subset="train_loss")["step"].tolist() == [1, 2]
        assert metrics["accuracy/clean"].count() == 1


def test_a_training_alone_is_logged(robench: Command, tiny_board: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = robench(
            "train", "batchnorm", "--board", tiny_board, "--out", tmp_path, "--log", "csv"
        )
        assert done.code == 0, done.err
    metrics = pd.read_csv(logged(tmp_path) / "metrics.csv")
    assert metrics["step"].tolist() == [1, 2]


def test_an_unknown_tracker_is_refused_before_any_work(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    done = robench("run", tiny_board, "--out", tmp_path / "runs", "--log", "neptune")
    assert done.code == 2
    assert "--log neptune: no such tracker; valid: csv, mlflow, tensorboard, wandb." in done.err
    assert not (tmp_path / "runs").exists()
