"""What the check of a submission computes is bounded, or is what the maintainer's board says."""

import dataclasses
from pathlib import Path

import pytest
from support import Command

from robench.board.board import Board
from robench.board.loading import read_board
from robench.board.shipped import shipped_boards
from robench.errors import UserError
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission.effort import (
    MOST_EVALUATIONS,
    check_effort,
    evaluations,
    other_attacks,
)


@pytest.fixture(scope="module")
def submitted(submission: Path) -> Leaderboard:
    return Leaderboard.read(submission)


def attacked_by(board: Board, *attacks: str, **changes: object) -> Board:
    values = {"attacks": attacks, "rank_by": "", **changes}
    evaluation = board.evaluation.model_copy(update=values)
    return board.model_copy(update={"evaluation": evaluation})


@pytest.mark.parametrize(
    "attack",
    [
        "pgd(steps=1000000000)",
        "pgd-1000(restarts=100000)",
        "simba(max_steps=1000000000)",
        "autoattack(queries=1000000000)",
        "torchattacks:PGD(steps=10000, alpha=0.01, eps=0.1)",
    ],
)
def test_attacks_that_never_end_are_refused(submitted: Leaderboard, attack: str) -> None:
    samples = 60 if attack.startswith("pgd") else 100_000
    board = attacked_by(submitted.board, attack, samples=samples)
    with pytest.raises(UserError, match=r"by --attacks-of BOARD, or attack fewer --rows"):
        check_effort(dataclasses.replace(submitted, board=board), 2)


def test_the_attacks_of_boards_are_not_refused(submitted: Leaderboard) -> None:
    check_effort(submitted, 2)
    board = attacked_by(submitted.board, "autoattack", "pgd-100(restarts=10)", samples=10_000)
    assert 2 * evaluations(board.evaluation) < MOST_EVALUATIONS
    for path in shipped_boards().values():
        assert 2 * evaluations(read_board(path).evaluation) < MOST_EVALUATIONS, path


def test_the_first_difference_from_the_board_is_named(submitted: Leaderboard) -> None:
    board = submitted.board
    assert other_attacks(board, board) is None
    longer = attacked_by(board, "pgd-100")
    assert "its evaluation.attacks is ('pgd-100',), but the board has" in str(
        other_attacks(longer, board)
    )
    weaker = attacked_by(board, *board.evaluation.attacks, defaults={"eps": 0.01})
    assert "its evaluation.defaults is" in str(other_attacks(weaker, board))
    data = board.data.model_copy(update={"name": "mnist5k"})
    assert "its data.name" in str(other_attacks(board.model_copy(update={"data": data}), board))


def test_a_data_set_of_the_hub_is_the_same_at_the_commit_that_was_read(
    submitted: Leaderboard,
) -> None:
    def on(name: str) -> Board:
        data = submitted.board.data.model_copy(update={"name": name})
        return submitted.board.model_copy(update={"data": data})

    read = on(f"hf:me/pets@{'0' * 40}(label='fine')")
    assert other_attacks(read, on("hf:me/pets(label='fine')")) is None
    for other in ("hf:me/pets", "hf:you/pets(label='fine')"):
        assert "its data.name is hf:me/pets" in str(other_attacks(read, on(other)))


def test_a_folder_is_the_same_under_the_name_that_it_gets_in_tables(submitted: Leaderboard) -> None:
    def on(name: str) -> Board:
        data = submitted.board.data.model_copy(update={"name": name})
        return submitted.board.model_copy(update={"data": data})

    for board in ("image_folder:my/cifar10", "./my/cifar10"):
        assert other_attacks(on("image_folder:cifar10"), on(board)) is None
    assert "its data.name" in str(other_attacks(on("image_folder:cifar100"), on("./my/cifar10")))


def test_a_submission_for_another_board_is_wrong(robench: Command, submission: Path) -> None:
    done = robench("check-submission", submission, "--attacks-of", "quick")
    assert done.code == 1
    assert "wrong: it was evaluated otherwise than the board it is for: its evaluation" in done.out
    missing = robench("check-submission", submission, "--attacks-of", "quikc")
    assert missing.code == 2
