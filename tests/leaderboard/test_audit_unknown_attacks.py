"""Attacks of a board that are not loaded here: what must come along, and what is compared."""

import json
import shutil
from pathlib import Path

from forging import cut, made_consistent, rename_attack
from published_board import Published
from support import Command

from robench.leaderboard.audit import audit, unchecked
from robench.leaderboard.published import Leaderboard

SIMBA = "simba(samples=6, max_steps=8)"


def problems(folder: Path) -> list[str]:
    """Return what is found before any table is looked at."""
    return audit(Leaderboard.read(made_consistent(folder, tables=False)))


def test_an_attack_with_its_code_is_said_to_be_unchecked(published: Published) -> None:
    folder = published.folder
    rename_attack(folder, "pgd-4", "theirs", brings="theirs")
    board = Leaderboard.read(made_consistent(folder))
    assert audit(board) == []
    notes = " ".join(unchecked(board))
    assert "the attack theirs is not loaded here, so the names" in notes
    assert "findings of checks that compare theirs with other attacks were not made again" in notes
    for rows, message in ((slice(30), "theirs are of 60 images, but the board evaluates 30"),
                          (slice(0), "theirs are of 0 images")):  # fmt: skip
        cut(folder, "batchnorm", "theirs", rows)
        assert message in " ".join(problems(folder))


def test_an_attack_without_its_code_is_wrong(
    robench: Command, published: Published, submission: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(submission, tmp_path / "copy"))
    for each, command in ((published.folder, ("verify", "--rows", "0")),
                          (folder, ("check-submission",))):  # fmt: skip
        rename_attack(each, SIMBA, "super_pgd(steps=1000)")
        made_consistent(each, tables=False)
        done = robench(*command, each)
        assert done.code == 1, done.err
        said = " ".join(done.out.split())
        assert "names an attack that it does not bring: 'super_pgd(steps=1000)' is not" in said


def test_the_outcomes_of_an_attack_name_its_code(published: Published) -> None:
    folder = published.folder
    rename_attack(folder, SIMBA, "theirs", brings="theirs")
    path = folder / "manifests/batchnorm-seed0.json"
    values = json.loads(path.read_text())
    for entry in values["manifest"]["outcomes"].values():
        entry.pop("source", None)
    path.write_text(json.dumps(values))
    found = " ".join(problems(folder))
    assert "'batchnorm', seed 0: the outcomes of theirs do not name the code" in found


def test_the_checks_are_compared_with_the_attacks_that_are_loaded(published: Published) -> None:
    folder = published.folder
    rename_attack(folder, SIMBA, "theirs", brings="theirs")
    path = folder / "manifests/batchnorm-seed0.json"
    values = json.loads(path.read_text())
    values["checks"]["findings"].pop()
    path.write_text(json.dumps(values))
    assert "the findings of its checks are not those of this board" in " ".join(problems(folder))
