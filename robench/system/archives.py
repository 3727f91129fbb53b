"""Open zip archives that a stranger may have written: sizes are known before anything is unpacked.

Files of ``numpy.savez`` and of ``torch.save`` are such archives.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from robench.errors import shortened
from robench.system.out_of_memory import is_out_of_memory
from robench.system.reading import MIB, Refused, open_plain

_TAIL = 4 * MIB
_ENTRY = b"PK\x01\x02"

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What NumPy and torch write; others, such as LZMA, allocate what a header asks for."""


@contextmanager
def open_archive(
    path: Path,
    *,
    members: int,
    unpacked: int,
    longest: int | None = None,
    inside: Path | None = None,
) -> Iterator[zipfile.ZipFile]:
    """Open an archive, and turn whatever goes wrong while it is read into one error.

    Args:
        path: the file.
        members: the largest number of its members.
        unpacked: the largest size of all its members together, in bytes.
        longest: the largest size of the file.
        inside: the folder that it may not be a link out of.

    Raises:
        Refused: if it is not a plain file, is damaged or too large, or has two members of one name.
    """
    with open_plain(path, longest=longest, inside=inside) as file:
        try:
            _check_directory(file, members)
            with zipfile.ZipFile(file) as archive:
                _check_members(archive.infolist(), members, unpacked)
                yield archive
        except Refused:
            raise
        except Exception as error:  # zipfile, zlib and NumPy raise many types on damaged files
            if is_out_of_memory(error):
                raise  # which says nothing of the file
            raise Refused(path, _reason(error)) from error


def _check_directory(file: BinaryIO, members: int) -> None:
    """Check the number of members before the directory is read: each takes a kilobyte then."""
    size = file.seek(0, 2)
    file.seek(max(size - _TAIL, 0))
    if file.read().count(_ENTRY) > 2 * members:  # by chance, data may look like an entry
        raise ValueError(f"it has more than {members} members")
    file.seek(0)


def _check_members(found: list[zipfile.ZipInfo], members: int, unpacked: int) -> None:
    if len(found) > members:
        raise ValueError(f"it has more than {members} members")
    for name, times in Counter(member.filename for member in found).items():
        if times > 1:
            raise ValueError(f"it has {times} members named '{shortened(name)}'")
    if any(member.compress_type not in _METHODS for member in found):
        raise ValueError("a member is compressed by another method than deflate")
    total = sum(member.file_size for member in found)
    if total > unpacked:
        raise ValueError(f"it unpacks to {total} bytes, and at most {unpacked} are allowed")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {shortened(error, 200)}".rstrip(". ")
