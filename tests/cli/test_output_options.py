"""No output option writes over a published leaderboard, or over a file of another kind."""

import hashlib
from pathlib import Path

import pytest
from support import Command

from robench.cli.outputs import file_for_curve, file_for_output
from robench.errors import UserError


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Return a folder that lists its files as a published leaderboard does."""
    folder = tmp_path / "board"
    (folder / "weights").mkdir(parents=True)
    names = ("board.json", "leaderboard.csv", "table.md", "a.html", "weights/x.png")
    for name in names:
        (folder / name).write_text(name)
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        (["page", "x"], "--out", "a.html"),
        (["compare", "x", "y"], "--out", "a.html"),
        (["compare", "x", "y"], "--csv", "leaderboard.csv"),
        (["export", "x"], "--out", "table.md"),
        (["attack", "x"], "--out", "leaderboard.csv"),
        (["attack", "x"], "--curve", "leaderboard.csv"),
        (["certify", "x"], "--csv", "leaderboard.csv"),
        (["challenge", "x"], "--clean", "leaderboard.csv"),
        (["show", "x"], "--out", "weights/x.png"),
    ],
)
def test_a_file_of_a_published_leaderboard_is_not_written_over(
    robench: Command, board: Path, command: list[str], option: str, name: str
) -> None:
    done = robench(*command, option, board / name)
    assert done.code == 2
    assert done.err == (
        f"robench: {option} {board / name}: it belongs to the leaderboard {board}; name another "
        f"file.\n"
    )
    assert (board / name).read_text() == name


def test_a_link_to_a_file_of_a_published_leaderboard_is_not_followed(
    board: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(board / "leaderboard.csv")
    with pytest.raises(UserError, match="it belongs to the leaderboard"):
        file_for_output(link)


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    assert file_for_output(link) == target
    assert file_for_curve(link) == target


def test_what_no_leaderboard_lists_may_be_written(board: Path, tmp_path: Path) -> None:
    beside = board / "page.html"
    beside.write_text("old")
    assert file_for_output(beside) == beside
    assert file_for_output(board / "new.csv") == board / "new.csv"
    (board / "SHA256SUMS").write_bytes(b"\xff")  # the list of a damaged board names nothing
    assert file_for_output(board / "table.md") == board / "table.md"


@pytest.mark.parametrize(
    ("command", "option", "ending"),
    [
        (["page", "x"], "--out", ".html"),
        (["compare", "x", "y"], "--out", ".html"),
        (["compare", "x", "y"], "--csv", ".csv"),
        (["attack", "x"], "--out", ".csv"),
        (["attack", "x"], "--curve", ".csv"),
        (["certify", "x"], "--csv", ".csv"),
        (["export", "x"], "--out", ".md"),
        (["export", "x", "--format", "latex"], "--out", ".tex"),
        (["export", "x", "--format", "long-csv"], "--out", ".csv"),
        (["export", "x", "--format", "parquet"], "--out", ".parquet"),
    ],
)
def test_an_output_file_is_named_as_what_is_written_to_it(
    robench: Command, tmp_path: Path, command: list[str], option: str, ending: str
) -> None:
    file = tmp_path / "board.toml"
    file.write_text("the input")
    done = robench(*command, option, file)
    assert done.code == 2
    assert done.err == f"robench: {option} {file}: name a file that ends in {ending}.\n"
    assert file.read_text() == "the input"
