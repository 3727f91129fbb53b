"""``robench run --jobs N``: the same results to the bit, whatever fails beside them."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support import TINY_BOARD, Command, Finished, begun, changed_board

from robench.plugins import registrations_undone
from robench.runs import pieces
from robench.runs.records import CellResult
from robench.runs.store import CellFolder
from robench.system.provenance import file_hash

PLUGIN = """
import os, signal, warnings
from robench import Defense, register_defense
from robench.errors import RobenchWarning
from dataclasses import dataclass
from helper import LOUD

class Base(Defense):
    def apply(self, model):
        return model

@register_defense("mine")
@dataclass(frozen=True)
class Mine(Base):
    kind: int = 0
    def before_training(self, model, steps):
        warnings.warn(LOUD, RobenchWarning)
        print("mine prints")

@register_defense("broken")
@dataclass(frozen=True)
class Broken(Base):
    def before_training(self, model, steps):
        raise ZeroDivisionError("a bug")

@register_defense("killed")
@dataclass(frozen=True)
class Killed(Base):
    def before_training(self, model, steps):
        os.kill(os.getpid(), signal.SIGKILL)
"""

BOARD = TINY_BOARD.replace("epochs = 2", "epochs = 1").replace(
    '["fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"]', '["fgsm", "pgd-4"]'
)


def started(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return begun(root, "tiny.toml", "--jobs", "2", *arguments)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A folder in which four rows were run side by side, of which two failed; and what it said."""
    root = tmp_path_factory.mktemp("jobs")
    (root / "tiny.toml").write_text(BOARD)
    (root / "plugin.py").write_text(PLUGIN)
    (root / "helper.py").write_text('LOUD = "mine is loud"\n')
    # A stranger's file in the current folder, which processes must not take for the library.
    (root / "joblib.py").write_text("raise SystemExit('a stranger ran')\n")
    (root / "signal.py").write_text("raise SystemExit('a stranger ran')\n")
    rows = "mine,mine(kind=1),broken,killed"
    process = started(root, "--plugin", "plugin.py", "--defenses", rows)
    out, err = process.communicate(timeout=240)
    return root, Finished(process.returncode, out, err)


def weights_and_outcomes(out: Path) -> dict[str, str]:
    """Path in the store -> hash, of all that must be the same to the bit."""
    store = out / "cells"
    files = [*store.glob("*/weights.safetensors"), *store.glob("*/outcomes/*.npz")]
    return {str(file.relative_to(store)): file_hash(file) for file in files}


def test_one_cell_that_fails_stops_no_other_and_each_is_said_at_the_end(
    ran: tuple[Path, Finished],
) -> None:
    _, done = ran
    assert done.code == 2, done.err
    line = PLUGIN.partition("raise")[0].count("\n") + 1
    assert f"broken, seed 0: ZeroDivisionError in line {line} of plugin.py: a bug" in done.err
    assert "killed, seed 0: the system killed its process, most likely because memory" in done.err
    assert "what is finished is stored, and the same command goes on from there.\n" in done.err
    assert "Traceback" not in done.err
    assert "stranger" not in done.out + done.err


def test_the_rows_that_did_not_fail_have_a_table_of_their_own(ran: tuple[Path, Finished]) -> None:
    root, done = ran
    folder = changed_board(root / "runs")
    assert f"; the table of the other rows is in runs/{folder.name}; what is" in done.err
    assert list(pd.read_csv(folder / "leaderboard.csv")["defense"]) == ["mine", "mine(kind=1)"]
    assert not (root / "runs" / "tiny").exists()


def test_status_says_which_cells_failed_and_why(
    ran: tuple[Path, Finished], robench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = ran
    monkeypatch.chdir(root)
    rows = ("--defenses", "mine,mine(kind=1),broken,killed")
    with registrations_undone():
        shown = robench("status", "tiny.toml", "--plugin", "plugin.py", *rows, "--json")
    assert shown.code == 0, shown.err
    cells = {cell["row"]: cell for cell in json.loads(shown.out)}
    states = [cells[row]["state"] for row in ("mine", "mine(kind=1)", "broken", "killed")]
    assert states == ["done", "done", "failed", "failed"]
    assert cells["broken"]["reason"].startswith("ZeroDivisionError in line")
    assert cells["killed"]["reason"].startswith("the system killed its process")


def test_a_row_whose_checks_fail_is_not_in_the_table_of_the_others(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_queries: None
) -> None:
    make_checks = pieces.make_checks

    def fails(result: CellResult, *others: Any) -> Any:
        if "groupnorm" in result.evidence.cell.model_dump_json():
            raise ZeroDivisionError("a bug")
        return make_checks(result, *others)

    monkeypatch.setattr(pieces, "make_checks", fails)
    (tmp_path / "tiny.toml").write_text(BOARD)
    small = ("data.subset=0.1", "evaluation.samples=20", "evaluation.check_samples=10",
             "evaluation.checks=true")  # fmt: skip
    done = robench(
        "run", tmp_path / "tiny.toml", "--defenses", "batchnorm,groupnorm", "--jobs", "1",
        "--out", tmp_path / "runs", *(part for value in small for part in ("--set", value)),
    )  # fmt: skip
    assert done.code == 2, done.out
    assert "groupnorm, seed 0: ZeroDivisionError in line" in done.err
    folder = changed_board(tmp_path / "runs")
    assert f"the table of the other rows is in {folder}" in done.err
    assert list(pd.read_csv(folder / "leaderboard.csv")["defense"]) == ["batchnorm"]


def test_what_all_processes_warn_of_is_said_once(ran: tuple[Path, Finished]) -> None:
    assert ran[1].err.count("robench: mine is loud\n") == 1


def test_what_other_processes_print_is_not_among_the_results(ran: tuple[Path, Finished]) -> None:
    assert "mine prints" in ran[1].err
    assert "mine prints" not in ran[1].out


def test_stages_and_the_accuracies_of_finished_rows_are_printed(
    ran: tuple[Path, Finished],
) -> None:
    lines = ran[1].out.splitlines()
    named = [line.partition("] ")[2] for line in lines]
    assert named.count("mine, seed 0: training") == 1
    assert named.count("mine, seed 0: attacking") == 1
    [row] = [line for line in named if line.startswith("mine, seed 0: clean ")]
    assert ", fgsm " in row
    assert all(line.startswith("[") and "/4] " in line for line in lines)


def test_the_same_command_goes_on_and_one_at_a_time_gives_the_same_bits(
    ran: tuple[Path, Finished],
    robench: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, _ = ran
    monkeypatch.chdir(root)
    run = ("run", "tiny.toml", "--plugin", "plugin.py", "--defenses", "mine,mine(kind=1)")
    with registrations_undone():
        one_at_a_time = robench(*run, "--jobs", "1", "--out", tmp_path)
        again = robench(*run, "--jobs", "2")
    assert one_at_a_time.code == 0, one_at_a_time.err
    stored = weights_and_outcomes(root / "runs")
    assert len(stored) == 2 * (1 + 3)
    assert weights_and_outcomes(tmp_path) == stored
    assert again.code == 0, again.err
    assert again.out.count(": stored") == 2
    one, other = (
        pd.read_csv(Path(done.out.rpartition("Leaderboard: ")[2].strip()))
        for done in (one_at_a_time, again)
    )
    for column in ("defense", "clean_mean", "fgsm_mean", "pgd-4_mean"):
        assert list(one[column]) == list(other[column])


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_command_and_the_store_is_whole(
    tmp_path: Path, sign: signal.Signals
) -> None:
    (tmp_path / "tiny.toml").write_text(BOARD.replace("epochs = 1", "epochs = 100"))
    process = started(tmp_path, "--out", "out")
    while len(found := list(tmp_path.glob("out/cells/*/checkpoint.pt"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    if sign == signal.SIGINT:
        os.killpg(process.pid, sign)  # as a terminal does, to all processes of the command
    else:
        process.send_signal(sign)
    _, err = process.communicate(timeout=60)
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert err == "robench: interrupted; the same command goes on where it stood.\n"
    deadline = time.monotonic() + 20
    while workers := running_in(process.pid):
        assert time.monotonic() < deadline, workers
        time.sleep(0.05)
    for checkpoint in found:
        folder = CellFolder(checkpoint.parent)
        assert not folder.finished_training
        hidden = {path.name for path in folder.path.glob(".*")} - {".lock"}
        assert sign == signal.SIGKILL or not hidden


def running_in(session: int) -> list[str]:
    """Return the commands of the processes of a session that have not ended."""
    listed = subprocess.run(
        ["ps", "-o", "stat=,args=", "--sid", str(session)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in listed.stdout.splitlines() if not line.startswith("Z")]
