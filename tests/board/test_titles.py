"""A row may have any name but that of another defense."""

from pathlib import Path

import pytest
from support import TINY_BOARD

from robench.board.loading import read_board
from robench.board.titles import mistaken_for
from robench.errors import UserError


@pytest.mark.parametrize(
    ("title", "defense", "other"),
    [
        ("convnorm", "batchnorm", "convnorm"),
        ("ConvNorm", "batchnorm", "convnorm"),
        (" convnorm ", "batchnorm", "convnorm"),
        ("c\u043envnorm", "batchnorm", "convnorm"),
        ("convnorm\ufe0f", "batchnorm", "convnorm"),
        ("conv\u034fnorm", "batchnorm", "convnorm"),
        ("\u3164convnorm", "batchnorm", "convnorm"),
        ("\u03f2onvnorm", "batchnorm", "convnorm"),
        ("conv\u0578\u043erm", "batchnorm", "convnorm"),
        ("convnorm(bn=false)", "vanilla", "convnorm"),
        ("convnorm", "convnorm(bn=false)", None),
        ("convnorm, trained normally", "convnorm", None),
        ("batchnorm, wider", "convnorm", None),
        ("ours", "convnorm", None),
        ("数 é", "convnorm", None),
    ],
)
def test_a_name_is_mistaken_for_a_defense(title: str, defense: str, other: str | None) -> None:
    assert mistaken_for(title, defense) == other


def test_a_board_whose_rows_swap_their_names_is_refused(tmp_path: Path) -> None:
    arms = '[[arms]]\nlabel = "convnorm"\ndefense = "batchnorm"\n'
    path = tmp_path / "board.toml"
    path.write_text(TINY_BOARD.replace('defenses = ["batchnorm", "convnorm"]', "") + arms)
    with pytest.raises(UserError, match="the row 'convnorm' is batchnorm, but is named like anoth"):
        read_board(path)
