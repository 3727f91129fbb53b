"""No reader takes the files of two boards for one, whenever a run that publishes is stopped."""

import os
from pathlib import Path

import pytest

from robench.errors import UserError
from robench.leaderboard import edition
from robench.leaderboard.edition import replace_edition
from robench.leaderboard.evidence import BOARD, PAGE, SUMS, UNFINISHED, broken_sums, read_sums
from robench.system.files import write_bytes

OLD = {BOARD: b"old", "manifests/a.json": b"old", "manifests/same.json": b"same"}
NEW = {BOARD: b"new", "manifests/b.json": b"new", "manifests/same.json": b"same"}


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_new_files_take_the_place_of_the_old_and_others_stay(tmp_path: Path) -> None:
    replace_edition(tmp_path, OLD)
    for name in ("notes.txt", "manifests/mine.json", PAGE, f".{BOARD}.abcdefgh"):
        (tmp_path / name).write_bytes(b"mine")
    replace_edition(tmp_path, NEW)
    found = files(tmp_path)
    assert not broken_sums(tmp_path, read_sums(tmp_path))
    assert set(found) == {*NEW, SUMS, "notes.txt", "manifests/mine.json"}
    assert {name: found[name] for name in NEW} == NEW


@pytest.mark.parametrize("listed", ["x/thesis.txt", None])
def test_nothing_is_written_or_removed_where_a_link_leads(
    tmp_path: Path, listed: str | None
) -> None:
    folder, elsewhere = tmp_path / "board", tmp_path / "elsewhere"
    replace_edition(folder, {BOARD: b"old"})
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("precious")
    (folder / ("x" if listed else "manifests")).symlink_to(elsewhere, target_is_directory=True)
    if listed:
        (folder / UNFINISHED).write_text(f"{64 * '0'}  {listed}\n")
    before = files(folder)
    with pytest.raises(UserError, match="is a link, and files below it are to be replaced"):
        replace_edition(folder, NEW)
    assert files(folder) == before
    assert files(elsewhere) == {"thesis.txt": b"precious"}


def test_the_same_files_again_touch_nothing(tmp_path: Path) -> None:
    replace_edition(tmp_path, OLD)
    (tmp_path / PAGE).touch()
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    replace_edition(tmp_path, OLD)
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("steps", range(4))
def test_one_that_was_stopped_is_read_by_nobody_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    replace_edition(tmp_path, OLD)
    left = [*range(steps)]

    def stops(path: Path, content: bytes) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(edition, "write_bytes", stops)
        patch.setattr(edition, "write_text", lambda path, text: stops(path, text.encode()))
        with pytest.raises(KeyboardInterrupt):
            replace_edition(tmp_path, NEW)
    if steps:
        assert (tmp_path / UNFINISHED).exists()
        with pytest.raises(UserError, match="is not complete: robench is publishing it, or was"):
            read_sums(tmp_path)
    else:
        assert files(tmp_path) == OLD | {SUMS: (tmp_path / SUMS).read_bytes()}
    replace_edition(tmp_path, NEW)
    assert set(files(tmp_path)) == {*NEW, SUMS}


def test_a_write_that_fails_leaves_no_list_that_reads_as_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_edition(tmp_path, OLD)
    rename = os.replace

    def fails(source: str, target: Path) -> None:
        if Path(target).name == "b.json":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(UserError, match="free space"):
        replace_edition(tmp_path, NEW)
    assert not (tmp_path / SUMS).exists()
