"""A board is read from TOML; a mistake in it is reported with its line and key."""

from pathlib import Path

import pytest

from robench.board.board import Board
from robench.board.cells import Cell
from robench.board.loading import line_of, read_board
from robench.board.plan import resolve
from robench.board.shipped import shipped_boards
from robench.board.specs import DataSpec, ModelSpec, TrainingSpec
from robench.errors import UserError

GOOD = """
title = "a board"
defenses = ["vanilla", "convnorm(bn=False)"]
seeds = [1, 2]
baseline = "vanilla"

[training]
epochs = 2
eps = "8/255"   # text is understood

[evaluation]
attacks = ["fgsm", "pgd-20"]

[[arms]]
label = "normal"
defense = "vanilla"
training = { method = "standard" }
"""


def read(tmp_path: Path, text: str) -> Board:
    path = tmp_path / "board.toml"
    path.write_text(text)
    return read_board(path)


def test_a_board_has_a_row_for_each_defense_and_each_labeled_row(tmp_path: Path) -> None:
    board = read(tmp_path, GOOD)
    rows = resolve(board).rows
    assert [row.title for row in rows] == ["vanilla", "convnorm(bn=False)", "normal"]
    assert [row.recipe.method for row in rows] == ["free", "free", "standard"]
    assert {row.recipe.epochs for row in rows} == {2}
    assert board.training.eps == 8 / 255


def test_a_row_has_a_cell_for_each_seed(tmp_path: Path) -> None:
    board = read(tmp_path, GOOD)
    cells = resolve(board).rows[1].cells(board.seeds, "mnist5k", "hash")
    assert [cell.seed for cell in cells] == [1, 2]
    assert len({cell.key for cell in cells}) == 2


def test_a_row_may_change_the_training_images_but_not_the_data_set(tmp_path: Path) -> None:
    noisy = GOOD.replace("training = {", "data = { label_noise = 0.4 }\ntraining = {")
    board = read(tmp_path, noisy)
    rows = resolve(board).rows
    first, *_, last = (row.cells([0], "mnist5k", "hash")[0].data for row in rows)
    assert (first.label_noise, last.label_noise) == (0.0, 0.4)
    assert last.name == "mnist5k"
    with pytest.raises(UserError, match="'normal' name another data set"):
        read(tmp_path, noisy.replace("label_noise = 0.4", "name = 'digits'"))
    with pytest.raises(UserError, match=r"data of 'normal': .*did you mean 'label_noise'"):
        read(tmp_path, noisy.replace("label_noise", "labelnoise"))


def test_the_ranking_column_is_pgd_20_or_else_the_last_attack(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).evaluation.ranking_column == "pgd-20"
    other = GOOD.replace('["fgsm", "pgd-20"]', '["fgsm", "noise"]')
    assert read(tmp_path, other).evaluation.ranking_column == "noise"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("epochs = 2", "epoch = 2", r"line 8: unknown key 'training.epoch'; .*'epochs'"),
        ("epochs = 2", 'epochs = "two"', r"line 8: training.epochs = 'two'"),
        ("epochs = 2", "epochs = 0", r"line 8: training.epochs = 0: write 1 or more\."),
        ('"8/255"', "8", r'line 9: training.eps = 8: .*"8/255"'),
        ('"8/255"', '"8/0"', r"line 9: training.eps = '8/0': '8/0' divides by zero"),
        ("[1, 2]", "[1, -2]", r"line 4: seeds.1 = -2"),
        ("[1, 2]", "[true, 2]", r"line 4: seeds = \[True, 2\]: true and false stand for no number"),
        ("epochs = 2", "epochs = true", r"line 8: training.epochs = True: true and false stand"),
        ("epochs = 2", 'lr = "inf"', r"line 8: training.lr = 'inf': .*finite"),
        ("epochs = 2", "lr = 1e60", r"line 8: training.lr = 1e\+60: write 1e\+37 or less\."),
        (
            "epochs = 2",
            "weight_decay = 1e60",
            r"weight_decay = 1e\+60: write 1e\+37 or less",
        ),
        ("epochs = 2", "epochs = 9999999999999", r"epochs = 9999999999999: write 1000000 or less"),
        ("epochs = 2", "milestones = [-1, 0]", r"training.milestones.0 = -1"),
        ("epochs = 2", 'carry_delta = "yes"', r"training.carry_delta = 'yes': write true or false"),
        ('label = "normal"', 'label = "a\\u001b[2J"', r"arms.0.label = .*visible characters"),
        ('{ method = "standard" }', "{ lr = 1e60 }", r"recipe of 'normal': .*write 1e\+37 or less"),
        ("title =", "titel =", r"line 2: unknown key 'titel'; did you mean 'title'"),
        ('title = "a board"', "", r"the key 'title' is missing"),
        ("[1, 2]", "[1, 2", r"is not TOML: .*line"),
        ('baseline = "vanilla"', 'baseline = "vanila"', r"'vanila' is not a row; .*'vanilla'"),
        ('"normal"', '"vanilla"', r"two rows of the board are named 'vanilla'"),
        ('{ method = "standard" }', '{ method = "std" }', r"recipe of 'normal': method = 'std'"),
        (
            '{ method = "standard" }',
            "{ epoch = 3 }",
            r"recipe of 'normal': .*did you mean 'epochs'",
        ),
        ('label = "normal"', 'labl = "normal"', r"unknown key 'arms.0.labl'; .*'label'"),
        ('["fgsm", "pgd-20"]', '["fgsm", "fgsm"]', r"two columns have the same name"),
        (
            '["vanilla", "convnorm(bn=False)"]',
            '"vanilla, convnorm(bn=False)"',
            r"line 3: defenses = .*: write a list: \['vanilla', 'convnorm\(bn=False\)'\]",
        ),
        ("[1, 2]", "3", r"line 4: seeds = 3: write a list: \[3\]"),
        ('title = "a board"', "title = 3", r"title = 3: write text, in quotes"),
    ],
)
def test_a_mistake_is_named_with_line_and_key(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in GOOD
    with pytest.raises(UserError, match=sentence):
        read(tmp_path, GOOD.replace(old, new, 1))


def test_a_missing_board_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the board"):
        read_board(tmp_path / "none.toml")


def test_a_board_that_is_not_text_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_board(tmp_path / "board.toml")


def test_lines_are_found_in_tables_and_dotted_keys() -> None:
    text = "a = 1\n[t]\nb = 2\n[t.u]\nc = 3\n"
    assert line_of(text, ("t", "b")) == ", line 3"
    assert line_of(text, ("t", "u", "c")) == ", line 5"
    assert line_of(text, ("t", "missing")) == ", line 2"
    assert line_of(text, ("nowhere",)) == ""


def cell(**changes: object) -> Cell:
    values: dict[str, object] = {
        "defense": "vanilla",
        "data": DataSpec(),
        "data_hash": "h",
        "model": ModelSpec(),
        "training": TrainingSpec(),
        "seed": 0,
    }
    return Cell.model_validate(values | changes)


def test_the_key_of_a_cell_changes_with_everything_its_weights_depend_on() -> None:
    keys = {
        cell().key,
        cell(defense="batchnorm").key,
        cell(data=DataSpec(subset=0.5)).key,
        cell(data_hash="other").key,
        cell(model=ModelSpec(width=8)).key,
        cell(training=TrainingSpec(lr=0.01)).key,
        cell(seed=1).key,
        cell(plugin_hash="p").key,
    }
    assert len(keys) == 8
    assert cell().key == cell().key


def test_every_shipped_board_reads() -> None:
    boards = {name: read_board(path) for name, path in shipped_boards().items()}
    assert "quick" in boards
    assert all(board.title for board in boards.values())
