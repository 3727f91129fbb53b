"""A merged board is a new folder, of boards whose files are as they were published."""

from pathlib import Path

import pytest
from published_board import Published
from submitted import copied, only, sum_up
from support import Command

from robench.errors import UserError
from robench.leaderboard.merged_folder import write_merged
from robench.leaderboard.published import Leaderboard


@pytest.mark.parametrize("name", ["weights/*", "curves.csv"])
def test_a_board_with_a_file_that_is_not_the_published_one_is_not_merged(
    submission: Path, published: Published, tmp_path: Path, name: str
) -> None:
    folder = copied(submission, tmp_path / "copy")
    path = only(folder, name)
    path.write_bytes(path.read_bytes() + b"0")
    boards = [Leaderboard.read(published.folder), Leaderboard.read(folder)]
    with pytest.raises(UserError, match=f"{path.name} is not as .*copy was published"):
        write_merged(boards, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_with_right_checksums_must_be_those_of_the_manifest(
    submission: Path, tmp_path: Path
) -> None:
    folder = copied(submission, tmp_path / "copy")
    path = only(folder, "weights/*")
    path.write_bytes(path.read_bytes() + b"0")
    sum_up(folder)
    with pytest.raises(UserError, match="is not the file that the manifest of 'convnorm'"):
        write_merged([Leaderboard.read(folder)], tmp_path / "out")


def test_a_folder_with_something_in_it_is_left_alone(
    published: Published, submission: Path, tmp_path: Path, robench: Command
) -> None:
    out = tmp_path / "out"
    done = robench("merge", published.folder, submission, "--out", out)
    assert done.code == 0, done.err
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert only(out, "weights/*").is_file()
    again = robench("merge", published.folder, "--out", out)
    assert again.code == 2
    assert "out is not empty" in again.err
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_merged_board_has_the_pictures_that_a_run_draws(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "leaderboards" / "quick"
    write_merged([Leaderboard.read(folder)], tmp_path / "out")
    assert (tmp_path / "out" / "curves.svg").is_file()
