"""The door: kind and size of a file come before its content."""

import errno
import os
from pathlib import Path

import pytest

from robench.errors import UserError, did_you_mean, shortened
from robench.system.reading import Refused, is_transient, read_bytes, read_text, sha256_of

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_plain_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text\r\n")
    (tmp_path / "link").symlink_to("a")
    assert read_text(tmp_path / "link", longest=10, inside=tmp_path) == "text\r\n"
    (tmp_path / "a").write_bytes(b"")
    assert sha256_of(tmp_path / "a") == EMPTY


@pytest.mark.parametrize("call", ["stat", "open", "fstat", "fdopen"])
def test_whatever_fails_is_a_refusal_and_leaves_nothing_open(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(5, "Input/output error", str(tmp_path / "a"))

    (tmp_path / "a").write_text("text")
    opened = Path("/proc/self/fd")
    before = len([*opened.iterdir()]) if opened.is_dir() else 0
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(Refused, match="Input/output error"):
            read_text(tmp_path / "a", longest=10)
    assert (len([*opened.iterdir()]) if opened.is_dir() else 0) == before


def test_a_machine_in_want_of_something_is_told_from_a_file_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("text")

    def found(number: int) -> bool:
        def fail(*arguments: object, **options: object) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", fail)
            with pytest.raises(Refused) as caught:
                read_text(tmp_path / "a", longest=10)
        return is_transient(caught.value)

    assert found(errno.EMFILE)
    assert found(errno.EIO)
    assert not found(errno.EACCES)
    assert not found(errno.ENOENT)
    assert is_transient(MemoryError())
    assert not is_transient(None)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    {"pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir}[kind](
        path
    )
    for read in (lambda: read_bytes(path, longest=9), lambda: sha256_of(path)):
        with pytest.raises(Refused, match=r"it is a folder|it is not a plain file"):
            read()


def test_the_size_comes_first(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(Refused, match="has 1099511627776 bytes or more, and at most 9 are allowed"):
        read_bytes(tmp_path / "sparse", longest=9)
    with pytest.raises(Refused, match="at most 9"):
        sha256_of(tmp_path / "sparse", longest=9)


def test_a_file_that_says_no_size_is_read_up_to_the_limit() -> None:
    with pytest.raises(Refused, match="at most 9 are allowed"):
        read_bytes(Path("/proc/self/smaps"), longest=9)


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_text("x")
    (folder / "link").symlink_to(target)
    with pytest.raises(Refused, match="it is a link that leads out of"):
        read_bytes(folder / "link", longest=99, inside=folder)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="cannot read"):
        read_bytes(tmp_path / name, longest=9)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", r"not UTF-8 text \(invalid start byte\)"),
        ("a".encode("utf-16"), "not UTF-8 text but UTF-16; save it as UTF-8"),
        (b"a\0", "has a NUL"),
    ],
)
def test_text_is_text(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(Refused, match=reason):
        read_text(tmp_path / "a", longest=9)


def test_a_refusal_is_a_sentence_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^cannot read .*none: No such file or directory\.$"):
        read_bytes(tmp_path / "none", longest=9)


def test_a_message_repeats_little_of_the_input_and_nothing_invisible() -> None:
    assert shortened("x" * 81) == "x" * 77 + "..."
    assert shortened("a\x1b[2J\u202eb\ud800") == r"a\x1b[2J\u202eb\ud800"
    assert len(did_you_mean("x" * 10**6, [f"{n}" * 10**5 for n in range(9)])) < 1000
    assert did_you_mean("zzz", [f"name-{n}" for n in range(1000)]).endswith(" more.")
    assert did_you_mean("zzz", ["a", "b, c"]) == "valid: a; b, c."
