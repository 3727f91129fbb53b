"""``robench run``: from a board to a leaderboard, resumable and repeatable."""

import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file
from support import TINY_BOARD, Command, changed_board

from robench.leaderboard.columns import kind_of
from robench.runs.store import CellFolder


def cells(out: Path) -> list[CellFolder]:
    return [CellFolder(path) for path in sorted((out / "cells").iterdir())]


def without_times(text: str) -> str:
    table = pd.read_csv(io.StringIO(text))
    timings = [name for name in table if kind_of(str(name)) == "timing"]
    return str(table.drop(columns=timings).to_csv())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one run of the tiny board, in a separate process."""
    root = tmp_path_factory.mktemp("finished")
    (root / "tiny.toml").write_text(TINY_BOARD)
    subprocess.run(
        [sys.executable, "-m", "robench", "run", "tiny.toml", "--out", "out"],
        cwd=root,
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return root / "out"


def test_help_is_instant_because_torch_is_not_imported() -> None:
    code = "import sys, robench, robench.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_leaves_a_leaderboard_with_one_row_per_defense(finished: Path) -> None:
    table = pd.read_csv(finished / "tiny" / "leaderboard.csv")
    assert sorted(table["defense"]) == ["batchnorm", "convnorm"]
    assert list(table["rank"]) == sorted(table["rank"])
    assert (table["pgd-4_mean"] <= table["pgd-2_mean"] + 0.05).all()
    assert (table["fgsm_mean"] <= table["clean_mean"]).all()
    assert (table["clean_low"] <= table["clean_mean"]).all()
    assert (table["clean_mean"] <= table["clean_high"]).all()
    assert (table["simba(samples=6, max_steps=8)_samples"] == 6).all()
    assert (table["train_seconds_per_epoch"] > 0).all()


def test_a_cell_contains_everything_that_its_row_is_computed_from(finished: Path) -> None:
    for cell in cells(finished):
        assert {p.name for p in cell.path.iterdir() if not p.name.startswith(".")} == {
            "spec.json",
            "weights.safetensors",
            "training.csv",
            "outcomes",
            "result.json",
            "manifest.json",
        }
        assert len(list((cell.path / "outcomes").iterdir())) == 5


def test_nothing_private_is_in_a_manifest(finished: Path) -> None:
    published = list((finished / "tiny" / "manifests").iterdir())
    assert sorted(p.name for p in published) == ["batchnorm-seed0.json", "convnorm-seed0.json"]
    for path in [*published, *(p for c in cells(finished) for p in (c.manifest, c.spec))]:
        text = path.read_text()
        assert platform.node() not in text
        assert str(finished) not in text
        assert str(Path.home()) not in text


def test_the_same_command_again_trains_nothing_and_gives_the_same_bytes(
    finished: Path, robench: Command, tiny_board: Path
) -> None:
    path = finished / "tiny" / "leaderboard.csv"
    before = path.read_bytes()
    start = time.perf_counter()
    done = robench("run", tiny_board, "--out", finished)
    assert done.code == 0, done.err
    assert done.out.count(": stored") == 2
    assert "training" not in done.out
    assert path.read_bytes() == before
    assert time.perf_counter() - start < 60


def test_the_same_seed_twice_gives_the_same_csv_except_for_the_times(
    finished: Path, robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    assert robench("run", tiny_board, "--out", tmp_path / "again").code == 0
    first = (finished / "tiny" / "leaderboard.csv").read_text()
    second = (tmp_path / "again" / "tiny" / "leaderboard.csv").read_text()
    assert without_times(first) == without_times(second)


def test_another_attack_is_added_without_training_again(
    finished: Path, robench: Command, tiny_board: Path
) -> None:
    changed = '--set=evaluation.attacks=["fgsm", "noise", "pgd-4"]'
    done = robench("run", tiny_board, changed, "--out", finished)
    assert done.code == 0, done.err
    assert "training" not in done.out
    assert "noise_mean" in pd.read_csv(changed_board(finished) / "leaderboard.csv")
    assert "noise_mean" not in pd.read_csv(finished / "tiny" / "leaderboard.csv")


def test_a_changed_run_leaves_the_full_board_alone_and_no_page_stays_beside_another_table(
    finished: Path, robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "cells", out / "cells")
    run = ("run", tiny_board, "--out", out)
    assert robench(*run).code == 0
    page = out / "tiny" / "page.html"
    assert robench("page", out / "tiny").code == 0
    before = {path: path.read_bytes() for path in (out / "tiny").rglob("*") if path.is_file()}
    fewer = (*run, "--defenses", "vanilla", "--set", "training.epochs=1")
    assert robench(*fewer).code == 0
    assert robench(*run).code == 0
    assert {path: path.read_bytes() for path in before} == before
    changed = changed_board(out)
    assert robench("page", changed).code == 0
    assert 'title = "tiny, changed: --defenses vanilla' in (changed / "board.toml").read_text()
    html = (changed / "page.html").read_text()
    assert f"robench run {changed.name}/board.toml" in html
    assert "free, 1 epoch" in html

    # More seeds make another table of the same board; its page is gone until it is written again.
    assert robench(*run, "--seeds", "0,1", "--set", "title=tiny").code == 0
    assert not page.exists()


def interruptible() -> None:
    # Tests that run in the background inherit an ignored Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_run_again_gives_the_same_weights_to_the_bit(
    finished: Path, robench: Command, tiny_board: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    for attempt in range(3):
        out = tmp_path / f"killed{attempt}"
        process = subprocess.Popen(
            [sys.executable, "-m", "robench", "run", str(tiny_board), "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=interruptible,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        deadline = time.time() + 120
        while not list(out.glob("cells/*/checkpoint.pt")) and time.time() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.01)
        process.send_signal(sign)
        _, printed = process.communicate(timeout=60)
        if process.returncode:
            break  # else it was done before this process, on a busy machine, came to kill it
    assert process.returncode == (130 if sign == signal.SIGINT else -sign)
    if sign == signal.SIGINT:
        assert b"Traceback" not in printed
        assert b"interrupted; the same command goes on where it stood" in printed
    done = robench("run", tiny_board, "--out", out)
    assert done.code == 0, done.err
    for one, other in zip(cells(finished), cells(out), strict=True):
        first, second = load_file(one.weights), load_file(other.weights)
        assert one.path.name == other.path.name
        assert all(first[name].equal(second[name]) for name in first)


def test_seeds_and_defenses_of_the_command_line_replace_the_board_s(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = robench(
        "run", tiny_board, "--defenses", "vanilla", "--seeds", "5,6", "--set", "training.epochs=1",
        "--set", 'evaluation.attacks=["fgsm"]', "--set", "evaluation.rank_by=fgsm", "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    table = pd.read_csv(changed_board(out) / "leaderboard.csv")
    assert list(table["defense"]) == ["vanilla"]
    assert list(table["seeds"]) == ["5 6"]
    assert table["fgsm_std"].notna().all()


def test_a_cell_that_diverges_is_a_flagged_row_not_a_crash(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = robench(
        "run", tiny_board, "--defenses", "vanilla", "--set", "training.lr=1e30", "--out", out
    )
    assert done.code == 0, done.err
    table = pd.read_csv(changed_board(out) / "leaderboard.csv")
    assert table.loc[0, "flags"] == "diverged"
    assert pd.isna(table.loc[0, "pgd-4_mean"])
    reason = "vanilla, seed 0: diverged: the loss is not finite after epoch 1; try a lower"
    assert reason in done.out
    assert "diverged" in robench(
        "run", tiny_board, "--defenses", "vanilla", "--set", "training.lr=1e30", "--out", out
    ).out  # fmt: skip


def test_status_says_how_far_a_run_is(finished: Path, robench: Command, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_BOARD)
    before = robench("status", tmp_path / "tiny.toml", "--out", tmp_path / "out")
    assert before.code == 0
    assert before.out.count("waiting") == 2
    assert not (tmp_path / "out").exists()
    after = robench("status", tmp_path / "tiny.toml", "--out", finished)
    assert "2 of 2 are done" in after.out
    listed = robench("status", tmp_path / "tiny.toml", "--out", finished, "--json")
    assert [entry["state"] for entry in json.loads(listed.out)] == ["done", "done"]
