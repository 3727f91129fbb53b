"""A race that was run: timed, published, verified, timed again, and submitted to."""

import json
import shutil
from pathlib import Path

import pytest
from forging import forge
from published_board import Published
from support import Command, shared_folder

from robench.board.loading import read_board
from robench.leaderboard.audit import audit
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.speedrun import standings_of
from robench.leaderboard.submission import write_submission
from robench.leaderboard.table import compare_rows, leaderboard
from robench.system.provenance import ALONE

BOARD = """
title = "a race of the tests"
defenses = ["groupnorm"]
seeds = [0, 1]

[goal]
accuracy = { clean = 0.05, pgd-4 = 0.9 }
seeds = 2

[data]
name = "digits"
subset = 0.1

[model]
width = 4

[training]
method = "standard"
epochs = 2

[evaluation]
attacks = ["pgd-4"]
samples = 20
checks = false
without = ["bf16", "pools", "folding", "channels_last"]
defaults = { eps = 0.02 }
"""


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``race.toml``, ``race``, the published folder, ``said``, what was printed, and ``cells``."""
    with shared_folder("raced", tmp_path_factory) as (root, is_new):
        if is_new:
            root.mkdir()
            (root / "race.toml").write_text(BOARD)
    return root


@pytest.fixture
def race(raced: Path, robench: Command) -> Path:
    """The folder of the board; it is run once."""
    if not (raced / "race").exists():
        done = robench("run", raced / "race.toml", "--out", raced, "--quiet")
        (raced / "said").write_text(done.out)
    return raced / "race"


@pytest.fixture
def published(race: Path, tmp_path: Path) -> Published:
    """A copy of it that a test may change."""
    shutil.copytree(race, tmp_path / "race")
    return Published(tmp_path / "race", race.parent)


def test_its_seconds_are_those_of_the_logs_and_its_files_are_sound(race: Path) -> None:
    board = Leaderboard.read(race)
    logs = [sum(e["seconds"] or 0 for e in cell.training) for cell in board.cells]
    row = board.table.iloc[0]
    assert row["train_seconds"] == pytest.approx(sum(logs) / 2, rel=1e-5)
    assert row["train_seconds_most"] == pytest.approx(max(logs), rel=1e-5)
    assert row["goal"].startswith("pgd-4 -")
    assert audit(board) == []


def test_each_training_is_known_to_have_run_alone(race: Path) -> None:
    board = Leaderboard.read(race)
    for cell in board.cells:
        assert cell.manifest["environment"]["training"] == ALONE
    [row] = standings_of(board.result, board.table)
    assert row.hardware.endswith(", 1 thread")


def test_the_run_printed_the_race(race: Path) -> None:
    said = (race.parent / "said").read_text()
    assert "Speedrun to clean 5%, pgd-4 90%" in said
    assert "misses pgd-4 -" in said


def test_a_lower_goal_in_the_board_is_found_by_the_table(published: Published) -> None:
    published.change("board.json", '"pgd-4": 0.9', '"pgd-4": 0.01', sums=True)
    found = audit(Leaderboard.read(published.folder))
    assert any("column goal" in problem and "reached" in problem for problem in found)


def test_a_verdict_that_was_changed_is_found(published: Published) -> None:
    row = Leaderboard.read(published.folder).table.iloc[0]
    published.change("leaderboard.csv", row["goal"], "reached", sums=True)
    assert any("column goal" in p for p in audit(Leaderboard.read(published.folder)))


def test_seconds_that_are_not_those_of_the_epochs_are_found(published: Published) -> None:
    def faster(values: dict[str, dict[str, float]]) -> None:
        values["manifest"]["training_seconds"] /= 2

    forge(published, faster, of="manifests/group*")
    found = audit(Leaderboard.read(published.folder))
    assert any("its training took" in problem for problem in found)


def test_retraining_says_both_times_and_both_machines(race: Path, robench: Command) -> None:
    done = robench("verify", race, "--store", race.parent, "--retrain", "--rows", "all", "--quiet")
    board = Leaderboard.read(race)
    for cell in board.cells:
        seconds = cell.manifest["training_seconds"]
        assert f"{seconds:.2f} s were published (cpu: " in " ".join(done.out.split())
    assert done.code == 0


def test_a_row_that_is_submitted_joins_the_race(race: Path, tmp_path: Path) -> None:
    board = Leaderboard.read(race)
    write_submission(board, ["groupnorm"], tmp_path / "submission", [race.parent])
    result = merge_boards([board, Leaderboard.read(tmp_path / "submission")])
    assert result.board.goal == board.board.goal
    table = leaderboard(result, compare_rows(result))
    assert [row.title for row in standings_of(result, table)] == ["groupnorm"]


def test_a_cell_that_an_ordinary_board_trained_says_that_it_may_not_have_run_alone(
    tmp_path: Path, robench: Command
) -> None:
    plain = BOARD[: BOARD.index("[goal]")] + BOARD[BOARD.index("[data]") :]
    (tmp_path / "plain.toml").write_text(plain.replace("seeds = [0, 1]", "seeds = [0]"))
    (tmp_path / "race.toml").write_text(BOARD.replace("seeds = [0, 1]", "seeds = [0]"))
    robench("run", tmp_path / "plain.toml", "--out", tmp_path, "--quiet")
    robench("run", tmp_path / "race.toml", "--out", tmp_path, "--quiet")
    board = Leaderboard.read(tmp_path / "race")
    [row] = standings_of(board.result, board.table)
    assert row.hardware.endswith("perhaps beside other work")
    assert "goal" not in json.loads((tmp_path / "plain" / "board.json").read_text())["board"]
    assert read_board(tmp_path / "race.toml").goal is not None
