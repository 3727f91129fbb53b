"""The goal of a board: which accuracies are to be reached, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from support import TINY_BOARD
from test_schema import faults

from robench.board.board import Board
from robench.board.goal import Goal
from robench.board.loading import read_board
from robench.board.overrides import open_board
from robench.board.shipped import shipped_boards
from robench.board.writing import board_text
from robench.errors import UserError

GOAL = "[goal]\naccuracy = { pgd-4 = 0.45, clean = 0.7 }\nseeds = 3\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a board with a goal."""
    return written(tmp_path, GOAL)


def written(folder: Path, goal: str) -> Path:
    path = folder / "race" / "board.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(TINY_BOARD + goal)
    return path


def test_its_accuracies_have_one_order_however_they_are_written() -> None:
    # The column that says what a row misses is text, and is computed again from JSON, whose names
    # are sorted: an honest row must not be called wrong for the order in which its author wrote.
    goal = Goal(accuracy={"pgd-4": 0.45, "clean": 0.7})
    assert list(goal.accuracy) == ["clean", "pgd-4"]


def test_true_is_no_accuracy() -> None:
    with pytest.raises(ValidationError, match="a fraction is expected"):
        Goal.model_validate({"accuracy": {"clean": True}})


def test_it_is_read_and_written_again(path: Path, tmp_path: Path) -> None:
    board = read_board(path)
    assert board.goal == Goal(accuracy={"pgd-4": 0.45, "clean": 0.7}, seeds=3)
    again = tmp_path / "again.toml"
    again.write_text(board_text(board))
    assert read_board(again) == board
    assert Board.model_validate_json(board.model_dump_json()) == board


def test_ten_seeds_are_asked_for_by_default() -> None:
    assert Goal(accuracy={"clean": 0.5}).seeds == 10


def test_a_board_without_one_keeps_its_json() -> None:
    assert "goal" not in read_board(shipped_boards()["quick"]).model_dump(mode="json")


@pytest.mark.parametrize(
    ("goal", "sentence"),
    [
        ("accuracy = { pgd-5 = 0.4 }", "'pgd-5', which is not a column .* 'pgd-4'"),
        ("accuracy = { worst_case = 0.4 }", "'worst_case', which is not a column"),
        ("accuracy = { pgd-4 = 45 }", r"line \d+: goal.accuracy.pgd-4 = 45: .*0.45 for 45%"),
        ("accuracy = { pgd-4 = 0 }", "goal.accuracy.pgd-4 = 0: .*above 0"),
        ('accuracy = { pgd-4 = "much" }', "goal.accuracy.pgd-4 = 'much': write a number"),
        ("accuracy = {}", "goal.accuracy: .* at least 1"),
        ("seeds = 10", "'goal.accuracy' is missing"),
        ("accuracy = { pgd-4 = 0.4 }\nseeds = 0", "goal.seeds = 0"),
        ("accuracy = { pgd-4 = 0.4 }\nseed = 3", "unknown key 'goal.seed'; .*'seeds'"),
    ],
)
def test_what_cannot_be_a_goal_is_refused_in_a_sentence(
    tmp_path: Path, goal: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        read_board(written(tmp_path, f"[goal]\n{goal}\n"))


def test_an_attack_that_only_some_rows_have_is_no_goal() -> None:
    with pytest.raises(UserError, match="for every row; valid: clean, pgd-4"):
        Goal(accuracy={"adaptive": 0.5}).check(("clean", "pgd-4", "adaptive"))


def test_the_accuracies_of_a_board_that_extends_another_replace_those_of_the_other(
    path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "smaller" / "board.toml"
    other.parent.mkdir()
    other.write_text('extends = "race"\n[goal]\naccuracy = { fgsm = 0.2 }\n')
    assert read_board(other).goal == Goal(accuracy={"fgsm": 0.2}, seeds=3)


def test_a_run_without_its_column_is_refused_before_any_work(path: Path) -> None:
    with pytest.raises(UserError, match=r"goal\.accuracy has 'pgd-4'"):
        open_board(str(path), changes=["evaluation.attacks=['fgsm']", "evaluation.rank_by=fgsm"])


def test_the_schema_knows_it() -> None:
    assert faults(TINY_BOARD + GOAL) == []
    assert faults(TINY_BOARD + GOAL.replace("0.45", "45"))[0].startswith("goal")
    assert faults('extends = "speedrun"\ngoal = { seeds = 3 }') == []


@pytest.mark.parametrize("name", ["speedrun", "speedrun-cpu"])
def test_the_shipped_races_take_ten_seeds(name: str) -> None:
    board = read_board(shipped_boards()[name])
    assert board.goal is not None
    assert board.goal.seeds == len(board.seeds) == 10
    assert set(board.goal.accuracy) == set(board.evaluation.attacks)
    assert all(row.data == {} and row.model is None for row in board.row_specs)
    assert len(board.row_specs) >= 1, "a row to be beaten"


def test_the_full_race_is_the_one_of_the_rules() -> None:
    board = read_board(shipped_boards()["speedrun"])
    assert board.goal == Goal(accuracy={"pgd-20": 0.45, "autoattack": 0.43})
    assert (board.model.name, board.model.width, board.data.name) == ("resnet18", 64, "cifar10")
    assert board.evaluation.samples == 10_000
    assert board.evaluation.defaults["eps"] == "8/255"
