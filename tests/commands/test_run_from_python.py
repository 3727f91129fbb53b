"""``robench.run`` does what the command does and returns the published leaderboard."""

from pathlib import Path

import pytest
from support import changed_board

import robench
from robench.leaderboard.evidence import BOARD, changed_notice
from robench.leaderboard.published import Leaderboard


def test_a_board_is_run_published_and_verified_from_python(
    tiny_board: Path, tmp_path: Path
) -> None:
    board = robench.run(
        tiny_board, defenses=["batchnorm"], seeds="3", changes="training.epochs=1", out=tmp_path
    )
    assert isinstance(board, Leaderboard)
    assert board.folder == changed_board(tmp_path)
    assert list(board.table["defense"]) == ["batchnorm"]
    assert list(board.table["seeds"]) == ["3"]
    assert board.cells[0].specification["training"]["epochs"] == 1

    again = robench.verify(board.folder, rows="all", stores=[str(tmp_path)])
    assert again.sound
    assert again.drawn == ("batchnorm",)
    assert again.rerun is not None
    assert set(again.rerun.figures["verdict"]) == {"reproduced"}

    assert changed_notice(board.folder) is None
    table = board.folder / "leaderboard.csv"
    table.write_text(table.read_text().replace("batchnorm", "best"))
    notice = changed_notice(board.folder)
    assert notice is not None
    assert notice.startswith(f"{table} is not as it was published (checksum differs)")
    forged = robench.verify(board.folder)
    assert not forged.sound
    assert forged.rerun is None
    assert any("leaderboard.csv" in problem for problem in forged.problems)


def test_a_misspelled_board_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(robench.UserError, match="did you mean 'quick'"):
        robench.run("quik", out=tmp_path)


def test_a_board_of_another_title_is_not_replaced(tiny_board: Path, tmp_path: Path) -> None:
    there = tmp_path / "out" / tiny_board.name / BOARD
    there.parent.mkdir(parents=True)
    there.write_text('{"board": {"title": "Mine"}}')
    with pytest.raises(robench.UserError, match="holds another board, 'Mine', which 'tiny"):
        robench.run(tiny_board, out=tmp_path / "out")
    assert there.read_text() == '{"board": {"title": "Mine"}}'
