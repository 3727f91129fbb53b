"""Several runs on one store: they share the work, and each writes the whole table."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import TWO_ATTACKS, finished, made_files


def driver(root: Path, out: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "robench", "run", "tiny.toml", "--out", out, "--jobs", "1"],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a board, and with what one run makes of it."""
    root = tmp_path_factory.mktemp("shared")
    (root / "tiny.toml").write_text(TWO_ATTACKS)
    done = finished("run", root / "tiny.toml", "--out", root / "alone", "--jobs", "1")
    assert done.code == 0, done.err
    return root


def test_two_runs_share_the_cells_and_both_write_the_table(root: Path) -> None:
    both = [driver(root, "two") for _ in range(2)]
    said = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert made_files(root / "two") == made_files(root / "alone")
    trained = [text.count(": training") for text in said]
    assert sum(trained) == len(list((root / "two" / "cells").glob("*/weights.safetensors")))
    assert all(trained), "one run did all"
    assert "another run is at work on it" in "".join(said)


def test_a_run_goes_on_where_another_was_killed(root: Path) -> None:
    first = driver(root, "killed")
    cells = root / "killed" / "cells"
    while not [*cells.glob("*/training.csv")]:
        assert first.poll() is None
        time.sleep(0.05)
    second = driver(root, "killed")
    time.sleep(1.0)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    said, _ = second.communicate(timeout=240)
    assert second.returncode == 0, said
    assert made_files(root / "killed") == made_files(root / "alone")
    assert not [*cells.glob("*/.lease")]
