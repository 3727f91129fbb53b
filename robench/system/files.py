"""Atomic and durable file writes: to a temporary name, synced, renamed, the folder synced."""

import errno
import json
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from robench.errors import UserError

_HINTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space there or choose another folder"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "change who may write there or choose another"
                    " folder"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close other programs or raise the limit of open"
                    " files (ulimit -n)"),
    errno.EROFS: "the file system can only be read; choose another folder",
    errno.EIO: "the disk or network may be failing; check it or choose another folder",
    errno.EINTR: "run the same command again",
    errno.ENAMETOOLONG: "choose a shorter name",
}  # fmt: skip
"""What to do about an error of the operating system, where that is known."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}")
"""What :func:`write_bytes` calls a file until it is complete."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically and durably.

    A reader never sees a partial file, and neither does one after a power failure: when this
    returns, the content and its name are on the disk.

    Raises:
        UserError: if the folder cannot be created or written, or the disk is full; what was at
            ``path`` before is there still.
    """
    temporary: str | None = None
    try:
        _make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            _write_all(handle, content)
            os.chmod(temporary, 0o644)  # noqa: PTH101 - mkstemp gives names as text
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)  # noqa: PTH105
        temporary = None
        sync_folder(path.parent)
    except IsADirectoryError:
        raise UserError(f"cannot write {path}: it is a folder; name a file in it.") from None
    except OSError as error:
        raise UserError(cannot_write(path, error)) from error
    finally:
        if temporary is not None:
            _remove_if_possible(Path(temporary))


def cannot_write(path: Path, error: OSError) -> str:
    """Return the sentence that says why a path cannot be written, and what to do."""
    hint = hint_for(error) or "choose another folder"
    out = " with --out" if hint.endswith("choose another folder") else ""
    return f"cannot write {path}: {error.strerror or error}; {hint}{out}."


def hint_for(error: OSError) -> str | None:
    """Return what to do about an error of the operating system, if that is known."""
    return _HINTS.get(error.errno or 0)


def expanded(path: str | Path) -> Path:
    """Return a path in which ``~`` and ``~user`` are home folders.

    Raises:
        UserError: if there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(
            f"{path}: no home folder is known for it; write the folder instead of ~."
        ) from None


def behind_link(path: Path) -> Path:
    """Return what a link leads to, whether it is there or not; of anything else, its own path."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def remove(path: Path) -> None:
    """Remove a file durably; one that is not there is left alone.

    Raises:
        UserError: if it cannot be removed.
    """
    try:
        if path.exists():
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
    except OSError as error:
        raise UserError(cannot_write(path, error)) from error


def remove_temporaries(folder: Path, patterns: Sequence[str]) -> None:
    """Remove what processes that were killed while writing have left in a folder.

    Only call it while no other process writes there: a file that is being written is not told
    from one that was left.

    Args:
        folder: the folder; subfolders are not searched.
        patterns: the files that robench writes there, such as ``*.npz``; the temporary files of
            others stay.
    """
    try:
        found = [*folder.iterdir()]
    except OSError:
        return  # there is no such folder, or it cannot be read now
    for path in found:
        match = _TEMPORARY.fullmatch(path.name)
        ours = match and any(fnmatchcase(match["name"], pattern) for pattern in patterns)
        if ours and path.is_file():
            _remove_if_possible(path)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can do that.

    Raises:
        OSError: if the disk reports an error.
    """
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system can
            raise
    finally:
        os.close(handle)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _write_all(handle: int, content: bytes) -> None:
    """Write all of it: a disk that is nearly full may take less at a time."""
    rest = memoryview(content)
    while rest:
        written = os.write(handle, rest)
        if written == 0:
            raise OSError(errno.EIO, "the disk takes no data")
        rest = rest[written:]


def _remove_if_possible(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the next process that may write there removes it


def is_file(path: Path) -> bool:
    """Return whether the file exists; a name longer than the system allows counts as absent."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether the folder exists; a name longer than the system allows counts as absent."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check_file(path: Path, remedy: str = "remove it") -> None:
    """Refuse what is in the place of a file that robench reads or writes.

    Args:
        path: the file, or a link to one; it need not exist.
        remedy: what to do, as the end of the sentence.

    Raises:
        UserError: if there is a folder, a link to nothing, or no plain file.
    """
    mode = _mode(path, remedy)
    if mode is not None and not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
        raise UserError(f"{path} is {what}; {remedy}.")


def check_folder(path: Path, remedy: str = "remove it") -> None:
    """Refuse what is in the place of a folder; see :func:`check_file`.

    Raises:
        UserError: if there is a link to nothing, or no folder.
    """
    mode = _mode(path, remedy)
    if mode is not None and not stat.S_ISDIR(mode):
        raise UserError(f"{path} is not a folder; {remedy}.")


def _mode(path: Path, remedy: str) -> int | None:
    try:
        return path.stat().st_mode
    except OSError:
        if path.is_symlink():
            raise UserError(f"{path} is a link to nothing; {remedy}.") from None
        return None  # it is not there; whoever opens it says it if it cannot be reached


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8; see :func:`write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys; see :func:`write_bytes`."""
    write_text(path, json_text(value))


def keep_json(path: Path, value: Any) -> None:
    """Write ``value`` as :func:`write_json` does, unless it is what the file holds.

    The file then stays as old as it is.
    """
    with suppress(OSError):
        if path.read_bytes() == json_text(value).encode():
            return
    write_json(path, value)


def json_text(value: Any) -> str:
    """Return ``value`` as indented JSON with sorted keys."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
