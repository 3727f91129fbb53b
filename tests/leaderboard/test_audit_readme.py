"""The README of a submission is made again from its figures; the commands say what is forged."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from forging import forge
from published_board import Published
from submitted import copied, sum_up
from support import Command

from robench.leaderboard.audit import audit
from robench.leaderboard.published import Leaderboard


@pytest.mark.parametrize("change", ["figure", "line", "text"])
def test_a_readme_that_says_more_than_the_figures_is_found(
    submission: Path, tmp_path: Path, robench: Command, change: str
) -> None:
    folder = copied(submission, tmp_path / "copy")
    readme = folder / "README.md"
    assert audit(Leaderboard.read(folder)) == []
    text = readme.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| convnorm |"))
    changed = {
        "figure": text.replace(row, "| convnorm | 0 | 99.9 | 99.9 | 99.9 | 99.9 | 99.9 |"),
        "line": text + "The best row of all.\n",
        "text": text.replace("with their weights", "proven robust"),
    }
    readme.write_text(changed[change])
    sum_up(folder)
    [problem] = audit(Leaderboard.read(folder))
    assert "README.md, line" in problem
    done = robench("check-submission", folder, "--rows", "0")
    assert done.code == 1
    assert f"wrong: {problem}" in done.out.replace("\n", " ")


def test_a_folder_without_readme_is_no_submission(published: Published) -> None:
    (published.folder / "README.md").write_text("Notes of the author.\n")
    assert audit(Leaderboard.read(published.folder)) == []


def test_verify_says_which_cost_is_forged(published: Published, robench: Command) -> None:
    forge(published, lambda values: values["costs"].update(parameters=10))
    done = robench("verify", published.folder, "--rows", "0")
    assert done.code == 1
    assert "wrong: 'batchnorm': it says 10 parameters, but its network has" in done.out
    assert done.out.count("wrong: ") == 1


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_readme_that_never_ends_is_not_waited_for(
    submission: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = copied(submission, tmp_path / "copy")
    (folder / "README.md").unlink()
    make(folder / "README.md")
    assert any("README.md" in problem for problem in audit(Leaderboard.read(folder)))
