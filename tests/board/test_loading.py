"""A board that extends another lists only its changes."""

from pathlib import Path

import pytest

from robench.board.board import Board
from robench.board.loading import merged, read_board
from robench.board.shipped import shipped_boards
from robench.errors import UserError

PARENT = """
title = "the whole"
defenses = ["vanilla", "batchnorm"]

[data]
name = "digits"
label_noise = 0.1

[training]
epochs = 3
milestones = [1, 2]

[evaluation]
attacks = ["fgsm"]

[evaluation.defaults]
eps = 0.1
norm = "linf"

[paper]
item = "Table 0"

[paper.figures]
vanilla = { clean = [90.0, 0.1] }
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name / "board.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def extended(folder: Path, text: str) -> Board:
    write(folder, "whole", PARENT)
    return read_board(write(folder, "part", f'extends = "whole"\n{text}'))


def test_tables_are_merged_and_lists_are_replaced(tmp_path: Path) -> None:
    board = extended(
        tmp_path,
        'title = "a part"\ndefenses = ["vanilla"]\n[data]\nsubset = 0.5\n'
        "[training]\nmilestones = []\n",
    )
    assert board.title == "a part"
    assert board.titles == ["vanilla"]
    assert (board.data.name, board.data.label_noise, board.data.subset) == ("digits", 0.1, 0.5)
    assert (board.training.epochs, board.training.milestones) == (3, ())


def test_defaults_of_attacks_and_figures_of_a_paper_are_replaced_as_a_whole(tmp_path: Path) -> None:
    board = extended(
        tmp_path,
        "[evaluation.defaults]\neps = 0.2\n[paper]\nitem = 'Table 1'\n"
        "[paper.figures]\nbatchnorm = { clean = [91.0] }\n",
    )
    assert board.evaluation.defaults == {"eps": 0.2}
    assert board.paper is not None
    assert board.paper.figures == {"batchnorm": {"clean": (91.0,)}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('defenses = [\n"batchnrm"]', r"part.*, line 3: no defense is named 'batchnrm'; did you"),
        ('[evaluation]\nattacks = ["fgsm",\n"pgd-4(stepz=1)"]',
         r"part.*, line 4: attack 'pgd-4' has no option 'stepz'; did you mean 'steps'"),
        ('[[arms]]\ndefense = "convnorm"\nlabel = "mine"\ntraining = { lrr = 1 }',
         r"part.*, line 4: the recipe of 'mine': unknown key 'lrr'; did you mean 'lr'"),
        ('defenses = ["nosuch"]\ndescription = "nosuch"\nbaseline = "nosuch"',
         r"part.board.toml: no defense is named 'nosuch'"),  # which of the three lines?
    ],
)  # fmt: skip
def test_a_row_or_attack_that_cannot_be_built_is_named_with_its_line_if_only_one_has_it(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        extended(tmp_path, text)


def test_nothing_changed_is_the_other_board(tmp_path: Path) -> None:
    assert extended(tmp_path, "") == read_board(tmp_path / "whole" / "board.toml")


def test_a_file_extends_one_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PARENT)
    (tmp_path / "b.toml").write_text('extends = "a.toml"\nseeds = [7]\n')
    assert read_board(tmp_path / "b.toml").seeds == (7,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('extends = "hole"', r"line 1: extends = 'hole': there is no .*hole"),
        ("extends = 3", r"line 1: extends must be a string"),
        ('extends = "part"', "in a cycle: .*part.* extends .*part"),
        ('extends = "paper-table0"', "no such board ships with robench; did you mean 'paper-table"),
        ('extends = "whole"\n[training]\nepoch = 2', r"line 3: unknown key 'training.epoch'"),
        ('extends = "whole"\n[training', "is not TOML"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    write(tmp_path, "whole", PARENT)
    with pytest.raises(UserError, match=sentence):
        read_board(write(tmp_path, "part", text))


def test_a_shipped_board_is_extended_by_its_name(tmp_path: Path) -> None:
    board = read_board(write(tmp_path, "mine", 'extends = "paper-table1"\nseeds = [3]'))
    shipped = read_board(shipped_boards()["paper-table1"])
    assert board == shipped.model_copy(update={"seeds": (3,)})


def test_a_cycle_of_two_boards_is_named(tmp_path: Path) -> None:
    one = write(tmp_path, "a", 'extends = "b"')
    write(tmp_path, "b", 'extends = "a"')
    with pytest.raises(UserError, match=rf"in a cycle: {one} extends .*b.board.toml extends"):
        read_board(one)


def test_a_mistake_is_blamed_on_the_file_it_is_in(tmp_path: Path) -> None:
    whole = write(tmp_path, "whole", PARENT.replace("[training]", "[training]\nepoch = 3"))
    part = write(tmp_path, "part", 'extends = "whole"\nseeds = [2]\n[training]\nlr = 0.2\n')
    with pytest.raises(UserError, match=rf"^{whole}, line \d+: unknown key 'training.epoch'"):
        read_board(part)
    part.write_text('extends = "whole"\nseeds = [2]\n[training]\nepoch = 4\n')
    with pytest.raises(UserError, match=rf"^{part}, line 4: unknown key 'training.epoch'"):
        read_board(part)


def test_merging_changes_neither_side() -> None:
    base, changes = {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]}
    assert merged(base, changes) == {"a": {"b": 3, "c": 2}, "d": [2]}
    assert (base, changes) == ({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]})


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ("vanila = { clean = [9.0] }", r"'vanila', which is not a row; .*'vanilla'"),
        ("vanilla = { cleam = [9.0] }", r"'cleam', which is not a column; .*'clean'"),
        ("vanilla = { fgsm_queries = [9.0] }", r"'fgsm_queries', which is not a column"),
        ("vanilla = { condition_ratio = [9.0] }", r"'condition_ratio', which is not a column"),
        ("vanilla = { clean = [] }", "paper.figures.vanilla.clean"),
        ("vanilla = { clean = [1, 2, 3] }", "paper.figures.vanilla.clean"),
    ],
)
def test_a_figure_of_a_paper_belongs_to_a_row_and_a_column(
    tmp_path: Path, figures: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        extended(tmp_path, f"[paper.figures]\n{figures}\n")


def test_a_paper_may_have_queries_of_attacks_that_count_them(tmp_path: Path) -> None:
    attacks = "[evaluation]\nattacks = ['simba']\n[paper.figures]\n"
    board = extended(tmp_path, attacks + "vanilla = { simba_queries = [300] }\n")
    assert board.paper is not None
    with pytest.raises(UserError, match="did you mean 'simba_queries'"):
        extended(tmp_path, attacks + "vanilla = { simba_querys = [300] }\n")
