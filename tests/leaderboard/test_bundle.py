"""The code that goes with a board: of registered entries, not of a folder of images."""

import pytest

from robench.board.overrides import open_board
from robench.leaderboard.bundle import Bundle, bundle_of, data_name


@pytest.mark.parametrize(
    "name",
    ["./cifar10", "/data/images", "my/images", "my images/cats and dogs", "x.npz", "hf:me/images"],
)
def test_a_data_set_that_is_a_path_has_no_code(name: str) -> None:
    _, board = open_board("quick", changes=[f"data.name={name}"])
    assert bundle_of(board) == Bundle()
    assert data_name(board, "cats and dogs", Bundle()) == "cats and dogs"
