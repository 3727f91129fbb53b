"""``robench run --executor``: Ray and Slurm, for real on this machine; a process that is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support import TWO_ATTACKS, finished, made_files

from robench.plugins import registrations_undone

PLUGIN = """
import os, signal
from pathlib import Path
from dataclasses import dataclass
from robench import Defense, register_defense

STEPS = []

@register_defense("mortal")
@dataclass(frozen=True)
class Mortal(Defense):
    def apply(self, model):
        return model
    def after_step(self, model):
        STEPS.append(1)
        mark = Path(__file__).with_name("killed")
        armed = Path(__file__).with_name("armed").exists() and not mark.exists()
        if armed and len(STEPS) > 30:  # in the second epoch
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""


ONE_ATTACK = ("--set", "evaluation.attacks=['fgsm']", "--set", "evaluation.rank_by=fgsm")
"""Fewer columns: with Slurm, each is computed by a process of its own."""


def command(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "robench", "run", "tiny.toml", "--plugin", "plugin.py",
         *arguments],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a board, a plugin, the files of a stranger, and what one process makes."""
    root = tmp_path_factory.mktemp("executors")
    (root / "tiny.toml").write_text(TWO_ATTACKS)
    (root / "plugin.py").write_text(PLUGIN)
    plugin = ("--plugin", root / "plugin.py", "--defenses", "mortal")
    with registrations_undone():
        done = finished("run", root / "tiny.toml", *plugin, "--out", root / "serial", "--jobs", "1")
    assert done.code == 0, done.err
    for name in ("joblib", "signal", "pandas"):  # not to be taken for the library
        (root / f"{name}.py").write_text("raise SystemExit('a stranger ran')\n")
    return root


@pytest.mark.parametrize(
    ("executor", "more"),
    [("ray", ()), ("slurm:local", ONE_ATTACK)],
)
def test_a_killed_process_costs_time_and_changes_nothing(
    root: Path, executor: str, more: tuple[str, ...]
) -> None:
    (root / "armed").touch()
    (root / "killed").unlink(missing_ok=True)
    out = executor.replace(":", "-")
    to = ("--out", out, "--executor", executor, "--jobs", "2", "--defenses", "mortal")
    process = command(root, *to, *more)
    shown, err = process.communicate(timeout=550)
    (root / "armed").unlink()
    assert process.returncode == 0, err[-3000:]
    assert (root / "killed").exists()
    assert "Leaderboard:" in shown
    made = made_files(root / out)
    assert len({path.partition("/")[0] for path in made}) == 1
    assert made.items() <= made_files(root / "serial").items()
    assert not list((root / out / "cells").glob(".run-*"))


def test_ctrl_c_ends_ray_and_what_it_made_goes_on_anywhere(root: Path) -> None:
    board = ("--out", "stopped", "--defenses", "batchnorm", "--set", "training.epochs=10",
             *ONE_ATTACK)  # fmt: skip
    process = command(root, *board, "--executor", "ray")
    deadline = time.monotonic() + 300  # Ray starts slowly on a busy machine
    while not list((root / "stopped").glob("cells/*/training.csv")):
        assert time.monotonic() < deadline, process.communicate()
        time.sleep(0.1)
    mine = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; the same command goes on where it stood" in err
    _, alive = psutil.wait_procs(mine, timeout=30)
    assert not alive
    before = {path: path.read_text() for path in root.glob("stopped/cells/*/training.csv")}
    process = command(root, *board, "--jobs", "1")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert all(path.read_text().startswith(text) for path, text in before.items())


def test_two_processes_train_a_network_together_as_torchrun_lets_them(root: Path) -> None:
    (root / "armed").unlink(missing_ok=True)
    (root / "resources.toml").write_text("processes = 2\n")
    board = ["--defenses", "batchnorm", "--set", "training.epochs=1", *ONE_ATTACK]
    process = command(
        root, "--out", "gang", "--executor", "slurm:local", "--resources", "resources.toml", *board
    )
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "robench", "run", "tiny.toml", "--out", "torchrun", *board],
        cwd=root, capture_output=True, text=True, timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert made_files(root / "gang") == made_files(root / "torchrun")
    assert len(made_files(root / "gang")) == 1 + 2  # weights, clean and one attack
