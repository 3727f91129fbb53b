"""A board without weights says where they are, and robench only repeats it."""

import pytest
from published_board import Published
from pydantic import ValidationError
from support import Command

from robench.board.board import Board
from robench.board.writing import board_text
from robench.commands.reproduce import _same_specification
from robench.leaderboard.bundle import Bundle
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission_readme import submission_readme
from robench.system.toml_files import parse_toml

URL = "https://zenodo.org/records/1234/files/weights.tar?download=1#of(v2)"


@pytest.mark.parametrize("place", [URL, "../weights", "/data/nets/board-7", "s3://bucket/key", ""])
def test_a_url_or_a_path_is_taken_and_written(place: str) -> None:
    board = Board(title="x", defenses=("batchnorm",), weights_at=place)
    assert Board.model_validate(parse_toml(board_text(board))).weights_at == place
    assert ("weights_at" in board.model_dump(mode="json")) == bool(place)


@pytest.mark.parametrize(
    "place",
    ["a b", "a\n", "<script>", "[x](y)", "`ls`", "a|b", '"', "\x1b[2J", "\u202egnp", "x" * 301],
)
def test_other_characters_and_longer_ones_are_refused(place: str) -> None:
    with pytest.raises(ValidationError, match="weights_at"):
        Board(title="x", weights_at=place)


def test_verify_says_where_the_weights_are_and_where_to_put_them(
    robench: Command, published: Published
) -> None:
    published.change("board.json", '"title"', f'"weights_at": "{URL}", "title"', sums=False)
    published.change("board.toml", "title", f'weights_at = "{URL}"\ntitle', sums=True)
    done = robench("verify", published.folder, "--rows", "all")
    assert done.code == 3, done.out
    assert f"), but at {URL}, says the board; copy them to {published.folder}/weights/" in done.out


def test_it_is_in_the_readme_of_a_submission_and_part_of_no_specification(
    published: Published,
) -> None:
    board = Leaderboard.read(published.folder)
    plain = submission_readme(board.result, board.table, Bundle())
    published.change("board.json", '"title"', f'"weights_at": "{URL}", "title"', sums=True)
    told = Leaderboard.read(published.folder)
    assert f"weights are at `{URL}`" in submission_readme(told.result, told.table, Bundle())
    assert "weights are at" not in plain
    assert _same_specification(told.board, board.board)
    assert merge_boards([told, told]).board.weights_at == URL
    assert merge_boards([told, board]).board.weights_at == ""
