"""``robench verify`` on the boards of this repository; ``robench page`` and ``robench export``."""

import re
import shutil
from pathlib import Path

import pytest
from published_board import Published
from support import Command

import robench as package
from robench.leaderboard.evidence import BOARD, SUMS, TABLE
from robench.leaderboard.gans.published import holds_gans

BOARDS = sorted(
    path.parent
    for path in (Path(package.__file__).resolve().parents[1] / "leaderboards").glob(f"*/{SUMS}")
)


SMALL = ("quick", "paper-table2-cpu")
"""Boards that are read in a moment."""


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.name)
def test_every_published_board_agrees_with_its_evidence(robench: Command, board: Path) -> None:
    done = robench("verify", board, "--rows", "0")
    assert done.code == 0, done.out


def test_several_boards_are_verified_and_a_wrong_one_is_reported(
    robench: Command, published: Published, tmp_path: Path
) -> None:
    wrong, empty = tmp_path / "wrong", tmp_path / "not-run"
    shutil.copytree(published.folder, wrong)
    (wrong / SUMS).write_text("0" * 64 + (wrong / SUMS).read_text()[64:])
    empty.mkdir()
    (tmp_path / "README.md").write_text("# Boards")
    both = robench("verify", *sorted(tmp_path.iterdir()), published.folder, "--rows", "0")
    assert both.code == 1
    assert f"{empty} holds no leaderboard" in both.out
    assert "README.md holds no leaderboard" in both.out
    assert "wrong: " in both.out
    assert "every figure agree" in both.out  # of the other, although one is wrong
    one = robench("verify", empty, published.folder, "--rows", "0")
    assert one.code == 0
    assert "\ntaken on trust: " in one.out
    nothing = robench("verify", empty, empty, "--rows", "0")
    assert nothing.code == 2
    assert "none of these folders holds a leaderboard" in nothing.err
    mistyped = robench("verify", published.folder, tmp_path / "quikc", "--rows", "0")
    assert mistyped.code == 2
    assert "there is no folder" in mistyped.err


def test_a_file_of_a_leaderboard_stands_for_its_folder(
    robench: Command, published: Published, tmp_path: Path
) -> None:
    for name in (TABLE, BOARD, "board.toml", SUMS):
        done = robench("verify", published.folder / name, "--rows", "0")
        assert done.code == 0, done.err
    assert robench("page", published.folder / TABLE, "--out", tmp_path / "page.html").code == 0
    assert robench("export", published.folder / TABLE).code == 0
    other = robench("verify", published.folder / "comparisons.csv", "--rows", "0")
    assert other.code == 2
    assert "is a file, not a folder" in other.err


@pytest.mark.parametrize("command", ["verify", "page", "export"])
def test_what_is_no_leaderboard_is_answered_with_those_that_may_be_meant(
    robench: Command,
    published: Published,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    shutil.copy(published.folder / SUMS, tmp_path / "runs" / "mine")
    store, name = robench(command, "runs"), robench(command, "mine")
    assert store.err == (
        "robench: runs is not a leaderboard, but has some in it: runs/mine; name one.\n"
    )
    assert name.err == "robench: there is no folder mine; did you mean runs/mine?\n"
    assert (store.code, name.code) == (2, 2)


def test_what_is_taken_on_trust_in_each_of_several_boards_is_said_once(robench: Command) -> None:
    first, second = (next(each for each in BOARDS if each.name == name) for name in SMALL)
    gans = next(each for each in BOARDS if holds_gans(each))
    done = robench("verify", first, second, "--rows", "0")
    assert re.findall("taken on trust.*: ", done.out) == ["taken on trust in each board: "]
    done = robench("verify", first, second, gans, "--rows", "0")
    assert re.findall("taken on trust.*: ", done.out) == [
        "taken on trust in each board of classifiers: ",
        "taken on trust in each board of GANs: ",
    ]


def test_the_page_of_a_published_board_is_written(robench: Command, published: Published) -> None:
    done = robench("page", published.folder)
    assert done.code == 0, done.err
    text = (published.folder / "page.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "convnorm" in text


@pytest.mark.parametrize(
    ("form", "mark", "ending"), [("markdown", "| ---: |", ".md"), ("latex", "toprule", ".tex")]
)
def test_a_board_is_exported_to_the_console_or_a_file(
    robench: Command, published: Published, tmp_path: Path, form: str, mark: str, ending: str
) -> None:
    shown = robench("export", published.folder, "--format", form)
    assert shown.code == 0, shown.err
    assert mark in shown.out
    table = tmp_path / f"table{ending}"
    done = robench("export", published.folder, "--format", form, "--out", table)
    assert done.code == 0, done.err
    assert table.read_text() == shown.out


@pytest.mark.parametrize("command", ["verify", "page", "export"])
def test_a_folder_that_is_not_a_leaderboard_is_refused(
    robench: Command, tmp_path: Path, command: str
) -> None:
    done = robench(command, tmp_path)
    assert done.code == 2
    assert "not a folder that 'robench run' published" in done.err
    assert not list(tmp_path.iterdir())


def test_a_row_goes_from_one_board_to_another(
    robench: Command, published: Published, tmp_path: Path
) -> None:
    out = tmp_path / "submission"
    done = robench("submit", published.folder, "--rows", "convnorm", "--store", published.store,
                   "--out", out)  # fmt: skip
    assert done.code == 0, done.err
    checked = robench("check-submission", out)
    assert checked.code == 0, checked.out
    assert "Nothing wrong was found" in checked.out
    merged = robench("merge", published.folder, out, "--out", tmp_path / "merged")
    assert merged.code == 0, merged.err
    table = (tmp_path / "merged" / "leaderboard.csv").read_bytes()
    assert table == (published.folder / "leaderboard.csv").read_bytes()
    again = robench("submit", published.folder, "--store", published.store, "--out", out)
    assert again.code == 2
    assert "not empty" in again.err


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--name", "x"], "--name"),
        (["--checkpoint", "w.pt"], "--checkpoint"),
        (["--data", "digits"], "--data"),
        (["--data-dir", "."], "--data-dir"),
        (["--model", "timm:resnet18", "--name", "x", "--rows", "vanilla"], "--rows"),
        (["--model", "timm:resnet18", "--name", "x", "--store", "runs"], "--store"),
    ],
)
def test_submit_refuses_options_without_effect(
    robench: Command, tmp_path: Path, options: list[str], name: str
) -> None:
    done = robench("submit", "quick", *options, "--out", tmp_path / "out")
    assert done.code == 2
    other = "the rows of a leaderboard" if "--model" in options else "--model"
    assert f"{name} goes with {other}" in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()


def test_a_third_party_network_needs_a_name(robench: Command) -> None:
    done = robench("submit", "quick", "--model", "timm:resnet18")
    assert done.code == 2
    assert "--name" in done.err
