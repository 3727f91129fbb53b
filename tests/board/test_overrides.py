"""Command-line overrides: which board, which rows, which seeds, which values."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robench.board.limits import LONGEST_TITLE
from robench.board.overrides import find_board, open_board
from robench.board.plan import resolve
from robench.board.shipped import shipped_boards
from robench.board.writing import board_text
from robench.errors import UserError


def test_a_board_is_found_by_name_folder_or_file(tiny_board: Path) -> None:
    assert find_board("quick") == ("quick", shipped_boards()["quick"])
    assert find_board(str(tiny_board)) == ("tiny", tiny_board / "board.toml")
    assert find_board(str(tiny_board / "board.toml"))[0] == "tiny"
    other = tiny_board / "other.toml"
    other.write_text((tiny_board / "board.toml").read_text())
    assert find_board(str(other)) == ("other", other)


@pytest.mark.parametrize("name", ["cells.toml", "logs.toml", "..toml"])
def test_a_board_cannot_have_the_name_of_a_folder_of_the_store(tiny_board: Path, name: str) -> None:
    other = tiny_board / name
    other.write_text((tiny_board / "board.toml").read_text())
    with pytest.raises(UserError, match="a board cannot be named"):
        find_board(str(other))


def test_a_file_may_begin_with_a_byte_order_mark(tiny_board: Path) -> None:
    path = tiny_board / "marked.toml"
    path.write_text((tiny_board / "board.toml").read_text(), encoding="utf-8-sig")
    assert open_board(str(path))[1] == open_board(str(tiny_board))[1]


def test_a_change_of_a_table_that_a_board_has_not_says_so(tiny_board: Path) -> None:
    with pytest.raises(UserError, match=r"has no table \[goal\]"):
        open_board(str(tiny_board), changes=["goal.seeds=3"])


@pytest.mark.parametrize("change", ["arms.0.label=x", "evaluation.attacks.0=fgsm"])
def test_a_change_of_a_part_of_a_list_says_that_it_is_one(tiny_board: Path, change: str) -> None:
    name = change.split(".0")[0].split(".")[-1]
    with pytest.raises(UserError, match=rf"'{name}' is a list; set all of it, or change it in"):
        open_board(str(tiny_board), changes=[change])


def test_values_are_toml_and_bare_words_are_strings(tiny_board: Path) -> None:
    changes = ["training.epochs=5", "training.eps=4/255", "data.name=mnist5k", "title=other"]
    _, board = open_board(str(tiny_board), changes=changes)
    assert board.training.epochs == 5
    assert board.training.eps == 4 / 255
    assert board.data.name == "mnist5k"
    assert board.title == "other"


def test_options_that_the_json_form_leaves_out_can_be_changed(tiny_board: Path) -> None:
    changes = ["training.averaging=0.9", "data.label_noise_mode=uniform", "data.subset_of=all"]
    _, board = open_board(str(tiny_board), changes=changes)
    assert board.training.averaging == 0.9
    assert (board.data.label_noise_mode, board.data.subset_of) == ("uniform", "all")


def test_rows_may_name_defenses_and_labels(tiny_board: Path) -> None:
    path = tiny_board / "board.toml"
    row = '[[arms]]\nlabel = "normal"\ndefense = "vanilla"\ntraining = { method = "standard" }\n'
    path.write_text(path.read_text() + row)
    _, board = open_board(str(path), rows="normal,convnorm(bn=False, affine=False)")
    titles = [(row.title, row.recipe.method) for row in resolve(board).rows]
    assert titles == [("convnorm(bn=False, affine=False)", "free"), ("normal", "standard")]


def test_named_rows_leave_out_third_party_networks(tiny_board: Path) -> None:
    path = tiny_board / "board.toml"
    path.write_text('external = ["my, net"]\n' + path.read_text())
    _, board = open_board(str(path), rows="vanilla")
    assert [row.title for row in resolve(board).rows] == board.titles == ["vanilla"]
    with pytest.raises(UserError, match=r"'my, net' is a third-party network, .* leave it out"):
        open_board(str(path), rows="vanilla,my, net")


def test_all_is_every_registered_defense(tiny_board: Path) -> None:
    _, board = open_board(str(tiny_board), rows="all")
    assert {"vanilla", "batchnorm", "spectral_norm", "convnorm"} <= set(board.defenses)


def test_the_baseline_goes_with_its_row(tiny_board: Path) -> None:
    path = tiny_board / "board.toml"
    path.write_text('baseline = "batchnorm"\n' + path.read_text())
    assert open_board(str(path), rows="batchnorm,vanilla")[1].baseline == "batchnorm"
    assert open_board(str(path), rows="vanilla")[1].baseline == ""


def test_no_rows_at_all_are_refused(tiny_board: Path) -> None:
    with pytest.raises(UserError, match="names no defense"):
        open_board(str(tiny_board), rows=" , ")


def test_a_row_whose_label_has_a_comma_is_chosen() -> None:
    _, board = open_board("quick", rows="batchnorm, trained normally,convnorm")
    assert board.titles == ["convnorm", "batchnorm, trained normally"]


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [("0,0", "duplicate seed"), ("²", "not a seed"), ("4294967296", "write 4294967295 or less")],
)
def test_seeds_are_whole_numbers_each_once(tiny_board: Path, seeds: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        open_board(str(tiny_board), seeds=seeds)


@pytest.mark.parametrize("seeds", [7, [7], (7,), range(7, 8), np.array([7]), np.int64(7), " 7 "])
def test_seeds_may_be_numbers(tiny_board: Path, seeds: Any) -> None:
    name, board = open_board(str(tiny_board), seeds=seeds)
    assert board.seeds == (7,)
    assert board.title == "tiny, changed: --seeds 7"
    assert name == open_board(str(tiny_board), seeds="7")[0]


@pytest.mark.parametrize("seeds", [True, [True], 1.5, [1.5], [-1], [], ["a"], {0: [1]}.values()])
def test_seeds_that_are_no_whole_numbers_are_refused(tiny_board: Path, seeds: Any) -> None:
    with pytest.raises(UserError, match=r"^seeds: '.*' is not a seed; write whole numbers"):
        open_board(str(tiny_board), seeds=seeds)


def test_a_name_longer_than_the_system_allows_is_not_a_board() -> None:
    with pytest.raises(UserError, match="no board 'x"):
        open_board("x" * 5000)


@pytest.mark.parametrize(
    "changes",
    [{"rows": "vanilla"}, {"rows": "convnorm,batchnorm"}, {"changes": ["training.epochs=1"]},
     {"seeds": "3"}],
)  # fmt: skip
def test_a_changed_board_has_a_name_and_a_title_of_its_own(
    tiny_board: Path, changes: dict[str, Any]
) -> None:
    name, board = open_board(str(tiny_board), **changes)
    assert re.fullmatch(r"tiny-changed-[0-9a-f]{6}", name)
    assert board.title.startswith("tiny, changed: --")
    assert board.description.startswith("The board 'tiny' with --")
    assert open_board(str(tiny_board), **changes)[0] == name  # the same changes, the same folder
    assert open_board(str(tiny_board), rows="vanilla", seeds="9")[0] != name


@pytest.mark.parametrize(
    "changes",
    [{}, {"seeds": "0"}, {"seeds": "1,0,2"}, {"rows": "batchnorm,convnorm"},
     {"changes": ["training.epochs=2"]}],
)  # fmt: skip
def test_a_board_with_all_that_it_names_keeps_its_name(
    tiny_board: Path, changes: dict[str, Any]
) -> None:
    name, board = open_board(str(tiny_board), **changes)
    assert (name, board.title) == ("tiny", "tiny")


def test_a_long_change_does_not_make_the_title_too_long(tiny_board: Path) -> None:
    _, board = open_board(str(tiny_board), rows="all", changes=["training.epochs=1"] * 20)
    assert len(board.title) <= LONGEST_TITLE
    assert board.title.endswith(" ...")


def test_a_changed_board_that_is_changed_again_is_named_as_changed_once(tmp_path: Path) -> None:
    name, board = open_board("quick", changes=["training.epochs=2"])
    (tmp_path / name).mkdir()
    (tmp_path / name / "board.toml").write_text(board_text(board))
    again, _ = open_board(str(tmp_path / name), changes=["training.epochs=3"])
    assert again.startswith("quick-changed-")
    assert again.count("changed") == 1
    assert again != name
