"""A board written as TOML is read back as the same board."""

from pathlib import Path

import pytest

from robench.board.board import Board
from robench.board.loading import read_board
from robench.board.shipped import shipped_boards
from robench.board.writing import board_text

BOARDS = shipped_boards()


@pytest.mark.parametrize("name", BOARDS)
def test_every_shipped_board_is_read_back(name: str, tmp_path: Path) -> None:
    board = read_board(BOARDS[name])
    (tmp_path / "board.toml").write_text(board_text(board))
    assert read_board(tmp_path / "board.toml") == board


def test_texts_are_quoted(tmp_path: Path) -> None:
    words = 'a "quoted" \\ word,\na new line, \x7f, \t, é and 数'
    values = {
        "title": 'a "quoted" \\ word, é and 数',
        "description": words,
        "authors": "Ada Lovelace and Kurt Gödel",
        "arms": [{"defense": "vanilla", "label": 'a "quoted" \\ word', "training": {"lr": 1e-05}}],
        "evaluation": {"attacks": ["pgd(norm='l2', eps=0.5)"], "defaults": {"eps": "8/255"}},
    }
    board = Board.model_validate(values)
    (tmp_path / "board.toml").write_text(board_text(board), encoding="utf-8")
    assert read_board(tmp_path / "board.toml") == board
