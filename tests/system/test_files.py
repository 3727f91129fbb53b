"""File writes are atomic."""

import errno
import os
from pathlib import Path

import pytest

from robench.errors import UserError
from robench.system.files import write_bytes, write_json, write_text
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
