"""``torchrun -m robench``: rank 0 leads, the other ranks are workers."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support import TWO_ATTACKS, Command

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run_of_two(board: Path, out: Path) -> str:
    done = subprocess.run(
        [sys.executable, *TORCHRUN, "-m", "robench", "run", str(board), "--out", str(out)],
        capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def curves(out: Path) -> list[float]:
    logs = sorted(out.glob("cells/*/training.csv"))
    assert logs
    return [loss for log in logs for loss in pd.read_csv(log)["train_loss"]]


def test_two_processes_make_one_board_with_the_loss_curves_of_one(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    # Rounding flips some of the gradient signs that free training follows; this has none.
    file = tiny_board / "board.toml"
    file.write_text(TWO_ATTACKS.replace("replays = 2", 'method = "standard"\nlr = 0.02'))
    shown = run_of_two(tiny_board, tmp_path / "two")
    assert shown.count("Leaderboard:") == 1
    assert robench("run", tiny_board, "--out", tmp_path / "one").code == 0
    assert curves(tmp_path / "two") == pytest.approx(curves(tmp_path / "one"), rel=0.1)
