"""``robench verify`` on the boards of this repository; ``robench page`` and ``robench export``."""

from pathlib import Path

import pytest
from published_board import Published
from support import Command

import robench as package
from robench.leaderboard.evidence import SUMS

BOARDS = sorted(
    path.parent
    for path in (Path(package.__file__).resolve().parents[1] / "leaderboards").glob(f"*/{SUMS}")
)


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.name)
def test_every_published_board_agrees_with_its_evidence(robench: Command, board: Path) -> None:
    done = robench("verify", board, "--rows", "0")
    assert done.code == 0, done.out


def test_the_page_of_a_published_board_is_written(robench: Command, published: Published) -> None:
    done = robench("page", published.folder)
    assert done.code == 0, done.err
    text = (published.folder / "page.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "convnorm" in text


@pytest.mark.parametrize(("form", "mark"), [("markdown", "| ---: |"), ("latex", "toprule")])
def test_a_board_is_exported_to_the_screen_or_a_file(
    robench: Command, published: Published, tmp_path: Path, form: str, mark: str
) -> None:
    shown = robench("export", published.folder, "--format", form)
    assert shown.code == 0, shown.err
    assert mark in shown.out
    done = robench("export", published.folder, "--format", form, "--out", tmp_path / "table")
    assert done.code == 0, done.err
    assert (tmp_path / "table").read_text() == shown.out


@pytest.mark.parametrize("command", ["verify", "page", "export"])
def test_a_folder_that_is_no_leaderboard_is_refused(
    robench: Command, tmp_path: Path, command: str
) -> None:
    done = robench(command, tmp_path)
    assert done.code == 2
    assert "not a folder that 'robench run' published" in done.err
    assert not list(tmp_path.iterdir())
