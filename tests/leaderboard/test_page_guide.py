"""The text around the table of a page: facts, commands that can be run, citation."""

import hashlib
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from page_boards import Invented, invent
from test_published_tables import CLASSIFIERS

from robench.board.board import Board
from robench.board.loading import read_board
from robench.board.overrides import open_board
from robench.board.plan import resolve
from robench.board.shipped import shipped_boards
from robench.board.specs import DataSpec, ModelSpec, TrainingSpec
from robench.board.writing import board_text
from robench.leaderboard.evidence import BOARD, BoardFile, write_sums
from robench.leaderboard.page import guide
from robench.leaderboard.page.details import details
from robench.leaderboard.page.rows import table_rows
from robench.leaderboard.page.write import render
from robench.leaderboard.published import Leaderboard

ROWS = (Invented("first", {"clean": 0.8, "pgd-20": 0.6}), Invented("second"))
QUICK = read_board(shipped_boards()["quick"])


def of_spec(spec: Board, name: str = "quick") -> Leaderboard:
    """Return an invented board with another specification, of two seeds."""
    made = invent(ROWS)
    board = replace(made, name=name, board=spec.model_copy(update={"seeds": (0, 1)}))
    vars(board)["table"] = made.table
    return board


@pytest.mark.parametrize("folder", CLASSIFIERS, ids=lambda path: path.name)
def test_every_published_board_comes_with_robench(folder: Path) -> None:
    head = BoardFile.model_validate_json((folder / BOARD).read_bytes())
    board = Leaderboard(head.name, folder, head.board, head.dataset, head.columns, ())
    assert guide.is_shipped(board)


def test_a_changed_copy_of_a_shipped_board_does_not_whatever_its_name_and_title() -> None:
    training = QUICK.training.model_copy(update={"epochs": QUICK.training.epochs + 1})
    changed = of_spec(QUICK.model_copy(update={"training": training}))
    assert changed.board.title == QUICK.title
    assert not guide.is_shipped(changed)
    assert "robench run quick.toml --seeds 0,1" in guide.commands(changed)


def test_the_commands_reproduce_the_board_and_verify_it() -> None:
    lines = guide.commands(of_spec(QUICK)).splitlines()
    assert lines == [
        "git checkout abcdef012345",
        "pip install -e .",
        "robench run quick --seeds 0,1",
        "git checkout -  # to where the leaderboard is",
        "robench verify leaderboards/quick --store runs",
    ]


def test_a_board_that_is_not_shipped_is_run_from_its_file() -> None:
    lines = guide.commands(invent(ROWS, name="my board; rm -rf x")).splitlines()
    assert lines == [
        "# in a clone of robench:",
        "git checkout abcdef012345",
        "pip install -e .",
        "# 'my board; rm -rf x.toml' is the author's board file; board.json has the same",
        "# in the folder that holds 'my board; rm -rf x':",
        "robench run 'my board; rm -rf x.toml' --seeds 0,1",
        "robench verify 'my board; rm -rf x' --store runs",
    ]


def test_no_name_of_a_stranger_leaves_its_comment() -> None:
    name = "x\ntouch /tmp/pwned #"
    text = guide.commands(invent(ROWS, name=name))
    words = shlex.split(text, comments=True)
    assert name in words, "quoted, it is one word"
    assert "touch" not in words


def with_third_party(
    folder: Path, trained: tuple[str, ...], strangers: tuple[str, ...]
) -> Leaderboard:
    """Return a board of its own file, some of whose rows are third-party networks."""
    made = invent([Invented(name) for name in trained + strangers], name="mx", folder=folder)
    arms = tuple(row for row in made.board.arms if row.title in trained)
    spec = made.board.model_copy(update={"arms": arms, "external": strangers})
    folder.mkdir()
    (folder / "board.toml").write_text(board_text(spec))
    write_sums(folder, [folder / "board.toml"])
    board = replace(made, board=spec)
    vars(board)["table"] = made.table
    return board


def test_the_commands_of_a_board_with_third_party_networks_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    board = with_third_party(tmp_path / "mx", ("it's, 1", "second"), ("my net",))
    (line,) = [text for text in guide.commands(board).splitlines() if "robench run" in text]
    _, _, target, option, rows, seeds, numbers = shlex.split(line)
    assert (option, seeds) == ("--defenses", "--seeds")
    plan = resolve(open_board(target, rows=rows, seeds=numbers)[1])
    assert [row.title for row in plan.rows] == ["it's, 1", "second"]
    alone = guide.commands(with_third_party(tmp_path / "none", (), ("my net",)))
    assert "robench run" not in alone
    assert alone.endswith("robench verify mx --store runs")


def test_a_board_of_somebody_else_is_cited_by_its_authors_and_robench_besides() -> None:
    named = guide.citation(invent(ROWS, authors="Ada Lovelace and Alan Turing"))
    assert "author = {Ada Lovelace and Alan Turing}," in named
    board, tool = named.split("\n\n")
    assert "robench developers" not in board
    assert "robench developers" in tool
    # A board that only has the name of a shipped one, or a shipped one that was changed.
    for board in (invent(ROWS, name="quick"), of_spec(QUICK, "quick-changed")):
        own, _ = guide.citation(board).split("\n\n")
        assert "author" not in own
    assert "The robench developers" in guide.citation(of_spec(QUICK))


def test_the_citation_escapes_what_latex_would_run(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.csv").write_text("rank\n")
    board = invent(ROWS, title=r"50% of \input{x} & _y_", name="a b", folder=tmp_path)
    entry = guide.citation(board)
    assert entry.startswith("@misc{robench-a-b,\n")
    assert r"{50\% of \textbackslash{}input\{x\} \& \_y\_}" in entry
    assert hashlib.sha256(b"rank\n").hexdigest()[:16] in entry


def test_the_facts_say_what_the_figures_depend_on() -> None:
    facts = dict(guide.facts(invent(ROWS, seeds=(3,))))
    assert facts["Seeds"] == "3 (single seed, no standard deviation)"
    assert facts["Ranked by"] == "pgd-20, Linf 8/255"
    assert facts["Test images"] == "200"
    assert facts["Commit"] == "abcdef012345"


def test_the_facts_name_noisy_labels_and_averaged_weights() -> None:
    board = invent(ROWS)
    changes = {
        "data": DataSpec(name="digits", label_noise=0.8, label_noise_mode="uniform"),
        "training": TrainingSpec(averaging=0.995),
    }
    changed = replace(board, board=board.board.model_copy(update=changes))
    vars(changed)["table"] = board.table
    facts = dict(guide.facts(changed))
    assert facts["Data set"] == "digits, 80.0% label noise (uniform over all classes)"
    assert facts["Training"].endswith(", weights averaged (decay 0.995 per step)")


def test_rows_with_networks_of_their_own_say_which() -> None:
    wide, half = ModelSpec(width=32), ModelSpec(name="vgg16", width=16, stem="half")
    rows = [ROWS[0], Invented("wide", model=wide), Invented("other", model=half)]
    board = invent(rows)
    usual = "resnet18, width 16, stem cifar"
    assert dict(guide.facts(board))["Network"] == f"{usual}; 2 rows have others"
    assert dict(guide.facts(invent(rows[:2])))["Network"] == f"{usual}; one row has another"
    assert dict(guide.facts(invent(ROWS)))["Network"] == usual
    networks = {row.title: row.network for row in table_rows(board)}
    assert networks == {
        "first": "", "wide": "resnet18, width 32", "other": "vgg16, width 16, stem half",
    }  # fmt: skip
    page = render(board)
    assert page.count('<span class="sub">resnet18, width 32</span>') == 1
    shown = {row["defense"]: dict(row["facts"]) for row in details(board)}
    assert shown["other"]["Network"] == "vgg16"
    assert shown["other"]["Channels of the first stage"] == "16"


def test_training_times_of_several_machines_are_said_not_to_be_comparable() -> None:
    note = "different hardware: compare the training times of one kind only."
    merged = render(invent([ROWS[0], Invented("mine", device="cpu: Slow CPU")]))
    assert merged.count(note) == 3  # the ranking, the chart, and its data
    assert note not in render(invent(ROWS))


def test_a_commit_with_changes_of_its_own_can_be_checked_out_and_says_so() -> None:
    board = invent(ROWS)
    board.table["version"] = "abcdef012345+dirty"
    lines = guide.commands(board).splitlines()
    assert lines[1] == "git checkout abcdef012345"
    assert "uncommitted" in lines[2]
