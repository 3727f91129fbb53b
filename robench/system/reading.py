"""The door for files that a stranger may have written: their kind and size come first.

Every reader of such files opens them here. A file is opened only if it is a plain one, since a
pipe would be waited for and a device read without end; its size is known before it is read; and a
file in a folder that came from elsewhere may not be a link that leads out of it. What the bytes
mean is checked by the reader of each format: :mod:`robench.system.json_files`,
:mod:`robench.system.toml_files`, :mod:`robench.system.array_files`,
:mod:`robench.system.tensor_files`.
"""

import codecs
import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from robench.errors import UserError, shortened
from robench.system.out_of_memory import chain_of, is_out_of_memory

MIB = 2**20

DOCUMENT_BYTES = 16 * MIB
"""Largest size of a JSON or TOML file, of a table or of a list of checksums."""

CODE_BYTES = 4 * MIB
"""Largest size of a source file."""

LIST_BYTES = 64 * MIB
"""Largest size of a list of indices."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How files begin that Windows' PowerShell and older editors write."""

_PATH = 300
"""Characters of a path in a message: deep folders of the user's own must stay readable."""


class Refused(UserError):  # noqa: N818 - a file is refused; nothing went wrong
    """A file that is not read.

    Attributes:
        reason: why, as the part of a sentence; a reader may put it into its own words.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot read {shortened(path, _PATH)}: {reason}.")
        self.reason = reason


_TRANSIENT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE})


def is_transient(error: BaseException | None) -> bool:
    """Return whether a file could not be read for a reason that may pass and is not in the file.

    There were too many open files or too little memory, or the disk or the server failed.
    """
    failed = (each.errno for each in chain_of(error) if isinstance(each, OSError))
    return is_out_of_memory(error) or not _TRANSIENT.isdisjoint(failed)


_OPENED = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""How a file is opened, on systems that have these flags."""


def open_plain(
    path: Path, *, longest: int | None = None, inside: Path | None = None
) -> BufferedReader:
    """Open a plain file for reading.

    Args:
        path: the file, or a link to one.
        longest: its largest size in bytes; any size if left out.
        inside: the folder that links may not lead out of; anywhere if left out.

    Raises:
        Refused: if it is missing, something else than a plain file, too large, or outside.
    """
    try:
        if inside is not None and not _is_below(path, inside):
            raise Refused(path, f"it is a link that leads out of {shortened(inside, _PATH)}")
        _check_plain(path, path.stat())
        # It may have been exchanged meanwhile: a pipe that is opened so is not waited for.
        handle = os.open(path, os.O_RDONLY | _OPENED)
    except OSError as error:
        raise Refused(path, error.strerror or str(error)) from error
    except Refused:
        raise
    except ValueError as error:
        raise Refused(path, "its name has a NUL or is not text") from error
    try:
        status = os.fstat(handle)
        _check_plain(path, status)
        if longest is not None and status.st_size > longest:
            raise _too_large(path, status.st_size, longest)
        return os.fdopen(handle, "rb")
    except OSError as error:
        os.close(handle)
        raise Refused(path, error.strerror or str(error)) from error
    except Refused:
        os.close(handle)
        raise


def read_bytes(path: Path, *, longest: int, inside: Path | None = None) -> bytes:
    """Return the content of a plain file; see :func:`open_plain`.

    Raises:
        Refused: as there, or if it cannot be read to its end.
    """
    with open_plain(path, longest=longest, inside=inside) as file:
        try:
            content = file.read(longest + 1)
        except OSError as error:
            raise Refused(path, error.strerror or str(error)) from error
    if len(content) > longest:  # it grew, or belongs to a file system that knows no sizes
        raise _too_large(path, len(content), longest)
    return content


def read_text(path: Path, *, longest: int, inside: Path | None = None) -> str:
    """Return the text of a plain file, with its line breaks as they are; see :func:`open_plain`.

    Raises:
        Refused: as there, or if it is not UTF-8 or has a NUL.
    """
    content = read_bytes(path, longest=longest, inside=inside)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        why = "but UTF-16; save it as UTF-8" if content[:2] in _UTF_16 else f"({error.reason})"
        raise Refused(path, f"it is not UTF-8 text {why}") from error
    if "\0" in text:
        raise Refused(path, "it is not text: it has a NUL")
    return text


def sha256_of(path: Path, *, longest: int | None = None, inside: Path | None = None) -> str:
    """Return the sha256 of a plain file in hexadecimal, read in pieces; see :func:`open_plain`.

    Raises:
        Refused: as there, or if it cannot be read to its end.
    """
    with open_plain(path, longest=longest, inside=inside) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise Refused(path, error.strerror or str(error)) from error


def _check_plain(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Refused(path, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise Refused(path, "it is not a plain file")


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _too_large(path: Path, size: int, longest: int) -> Refused:
    return Refused(path, f"it has {size} bytes or more, and at most {longest} are allowed")
