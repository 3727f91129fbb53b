"""Boards that were evaluated alike are merged; the first difference is reported otherwise."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from published_board import BOARD, Published

from robench.board.board import RowSpec
from robench.board.loading import read_board
from robench.errors import RobenchWarning, UserError
from robench.leaderboard.audit import audit
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.publish import write_leaderboard
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard
from robench.runs.records import BoardResult
from robench.runs.run import run_board

QUICK = (
    BOARD.replace("samples = 60", "samples = 20\nchecks = false")
    .replace('"pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"', '"pgd-2"')
    .replace("pgd-4", "pgd-2")
    .replace('"batchnorm", "convnorm"', '"batchnorm"')
    .replace("[data]", "[data]\nsubset = 0.2")
)

Make = Callable[..., Leaderboard]


def publish(result: BoardResult, folder: Path) -> Leaderboard:
    comparison = compare_rows(result)
    write_leaderboard(result, leaderboard(result, comparison), comparison, folder)
    return Leaderboard.read(folder)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that runs the board with replaced texts; each variant is run once."""
    root = tmp_path_factory.mktemp("boards")
    made: dict[tuple[str, ...], Leaderboard] = {}

    def run(*changes: tuple[str, str]) -> Leaderboard:
        text = QUICK
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        if (text,) not in made:
            folder = root / f"board{len(made)}"
            folder.with_suffix(".toml").write_text(text)
            result = run_board(read_board(folder.with_suffix(".toml")), out=root)
            made[text,] = publish(result, folder)
        return made[text,]

    return run


NAME = ('"batchnorm"', '"vanilla"')
SEEDS = ("seeds = [0]", "seeds = [1]")


def test_rows_of_other_recipes_and_networks_become_explicit_rows_and_pass_the_audit(
    make: Make, tmp_path: Path
) -> None:
    others = [
        make(NAME, ("epochs = 1", "epochs = 2"), ("replays = 2", "replays = 1")),
        make(NAME, ("width = 4", "width = 8"),
             ('defenses = ["vanilla"]', 'arms = [{label = "wide", defense = "vanilla"}]')),
    ]  # fmt: skip
    merged = publish(merge_boards([make(), *others]), tmp_path / "merged")
    assert audit(merged) == []
    board = merged.board
    assert board.titles == ["batchnorm", "vanilla", "wide"]
    assert board.arms[0].training == {"epochs": 2, "replays": 1}
    assert board.arms[1].model is not None
    assert board.arms[1].model.width == 8
    table = merged.table.set_index("defense")
    assert table.loc["vanilla", "recipe"] == "epochs=2, replays=1"
    assert table["width"].to_dict() == {"batchnorm": 4, "vanilla": 4, "wide": 8}
    for one in [make(), *others]:
        for row in one.table.to_dict("records"):
            for name in ("pgd-2_mean", "digest", "parameters"):
                assert table.loc[row["defense"], name] == row[name]


def test_a_row_of_other_training_images_stays_one(make: Make, tmp_path: Path) -> None:
    noisy = '{label = "noisy", defense = "vanilla", data = {label_noise = 0.4}}'
    other = make(NAME, ('defenses = ["vanilla"]', f"arms = [{noisy}]"))
    merged = publish(merge_boards([make(), other]), tmp_path / "merged")
    assert merged.board.arms[0].data == {"label_noise": 0.4}
    assert audit(merged) == []


def test_a_row_without_an_option_that_the_first_board_uses_says_so(
    make: Make, tmp_path: Path
) -> None:
    averaged = make(("replays = 2", "replays = 2\naveraging = 0.9"))
    merged = publish(merge_boards([averaged, make(NAME)]), tmp_path / "merged")
    assert merged.board.arms[0].training == {"averaging": 0.0}
    recipes = merged.table.set_index("defense")["recipe"].fillna("").to_dict()
    assert recipes == {"batchnorm": "", "vanilla": "averaging=0"}
    assert audit(merged) == []


def test_a_title_that_is_too_long_for_a_label_is_refused_in_one_sentence(make: Make) -> None:
    spaced = make(NAME, ('defenses = ["vanilla"]', f'defenses = ["vanilla({" " * 250})"]'))
    with pytest.raises(UserError, match=r"cannot be a row: .*label.* at most 200 characters"):
        merge_boards([make(), spaced])


def test_seeds_of_one_row_are_joined(make: Make, tmp_path: Path) -> None:
    both = merge_boards([make(SEEDS), make()])
    assert both.board.seeds == (1, 0)
    merged = publish(both, tmp_path / "merged")
    assert audit(merged) == []
    assert list(merged.table["seeds"]) == ["1 0"]


def test_a_row_that_lacks_seeds_is_named(make: Make) -> None:
    with pytest.raises(UserError, match="'vanilla' lacks the seeds 1 that other rows have"):
        merge_boards([make(), make(SEEDS), make(NAME)])


def test_a_title_of_two_specifications_is_named(make: Make) -> None:
    with pytest.raises(UserError, match=r"'batchnorm' is one thing in .* and another in"):
        merge_boards([make(), make(("replays = 2", "replays = 1"))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("samples = 20", "samples = 30"), "its evaluation.samples is 30, not 20"),
        (('"pgd-2"]', '"pgd-2", "pgd-3"]'), "its evaluation.attacks is"),
        (("step_size = 0.05", "step_size = 0.04"), "its evaluation.defaults is"),
        (("subset = 0.2", "subset = 0.3"), "its data.subset is 0.3, not 0.2"),
    ],
)
def test_boards_that_were_evaluated_differently_are_refused_by_the_first_difference(
    make: Make, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        merge_boards([make(), make(change)])


def test_a_cell_of_two_boards_counts_once_as_the_first_has_it(make: Make, tmp_path: Path) -> None:
    first = make()
    assert len(merge_boards([first, first]).rows[0].cells) == 1
    shutil.copytree(first.folder, tmp_path / "copy")
    published = Published(tmp_path / "copy", tmp_path)
    old = first.cells[0].file.manifest
    assert old is not None
    published.change("manifests/*", old.weights_hash, "0" * 64, sums=True)
    other = Leaderboard.read(tmp_path / "copy")
    for boards in ([first, other], [other, first]):
        with pytest.warns(RobenchWarning, match=f"those of {boards[0].folder} count"):
            [row] = merge_boards(boards).rows
        assert row.cells[0].evidence.manifest == boards[0].cells[0].file.manifest


def relabeled(board: Leaderboard, label: str, folder: Path) -> Leaderboard:
    """Return a copy of a board of one row that has another name for it."""
    row = RowSpec(defense=board.board.titles[0], label=label)
    renamed = board.board.model_copy(update={"defenses": (), "arms": (row,), "baseline": label})
    rows = (replace(board.result.rows[0], title=label),)
    return publish(replace(board.result, board=renamed, rows=rows), folder)


def test_one_specification_under_two_names_must_have_the_same_files(
    make: Make, tmp_path: Path
) -> None:
    first, mine = make(), relabeled(make(), "My BN", tmp_path / "mine")
    same = publish(merge_boards([first, mine]), tmp_path / "same")
    assert [row.title for row in same.result.rows] == ["batchnorm", "My BN"]
    assert audit(same) == []
    old = mine.cells[0].file.manifest
    assert old is not None
    changed = Published(mine.folder, tmp_path)
    entry = old.outcomes[next(iter(old.outcomes))].outcomes_hash
    changed.change("manifests/*", entry, "0" * 64, sums=True)
    other = Leaderboard.read(mine.folder)
    both = f"'batchnorm' in {first.folder} and 'My BN' in {other.folder}"
    with pytest.raises(UserError, match=both):
        merge_boards([first, other])


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(UserError, match="at least one leaderboard"):
        merge_boards([])
