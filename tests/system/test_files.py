"""File writes are atomic and durable, and say in a sentence what went wrong."""

import errno
import os
import stat
from pathlib import Path

import pytest

from robench.errors import UserError
from robench.system.files import (
    expanded,
    remove_temporaries,
    write_bytes,
    write_json,
    write_text,
)
from robench.system.json_files import read_json


def test_writing_makes_the_folders_and_leaves_no_other_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.txt", "text")
    assert (tmp_path / "a" / "b.txt").read_text() == "text"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_json_reads_back(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": [1, 2], "a": None})
    assert read_json(tmp_path / "x.json") == {"a": None, "b": [1, 2]}


def test_a_full_disk_keeps_the_old_file_and_is_reported_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device; free space"):
        write_bytes(path, b"new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_folder_that_is_a_file_is_reported_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "out" / "x.txt", "text")


def test_damaged_json_is_reported_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(UserError, match="is damaged"):
        read_json(tmp_path / "x.json")


def test_a_home_folder_that_is_not_known_is_reported_in_a_sentence() -> None:
    assert expanded("~") == Path.home()
    with pytest.raises(UserError, match="~nobody-of-that-name/x: no home folder is known"):
        expanded("~nobody-of-that-name/x")


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.EIO, "may be failing"),
        (errno.EROFS, "can only be read"),
        (errno.EACCES, "who may write there"),
        (errno.EMFILE, "open files"),
        (errno.EINTR, "again"),
        (errno.EBUSY, "choose another folder with --out"),
    ],
)
def test_the_hint_fits_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fails)
    with pytest.raises(UserError) as raised:
        write_bytes(tmp_path / "x.txt", b"new")
    assert os.strerror(number) in str(raised.value)
    assert hint in str(raised.value)
    assert ("free space" in str(raised.value)) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert not [*tmp_path.iterdir()]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: whole(handle, bytes(content[:3])))
    write_bytes(tmp_path / "x.txt", b"0123456789")
    assert (tmp_path / "x.txt").read_bytes() == b"0123456789"


def test_content_is_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, rename = os.fsync, os.replace

    def synced(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def renamed(source: str, target: Path) -> None:
        calls.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_bytes(tmp_path / "new" / "x.txt", b"new")
    assert calls == ["folder", "file", "rename", "folder"]


def test_what_killed_processes_have_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = [".x.json.a1_b2c3d", ".y.json.01234567"]
    others = [".x.json.swp", ".z.json.01234567", "x.json", ".x.json.0123456X"]
    for name in (*left, *others):
        (tmp_path / name).touch()
    remove_temporaries(tmp_path, ["x.json", "y.*"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
