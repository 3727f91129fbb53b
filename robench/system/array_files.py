"""Read arrays that a stranger may have written: shape and type are known before any is made.

NumPy makes an array of the size that a header says, be the file as small as it may, and unpacks an
archive however large that becomes.
"""

import io
import math
import sys
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robench.errors import shortened
from robench.system.archives import open_archive
from robench.system.reading import LIST_BYTES, Refused, read_bytes

MEMBERS = 1000
"""Largest number of arrays in a file, unless a reader says otherwise."""

_HEADER = 4096
"""Largest size of an array's header in bytes; ours take 128."""

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Header(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def npz_headers(
    path: Path, *, unpacked: int, members: int = MEMBERS, inside: Path | None = None
) -> Mapping[str, Header]:
    """Return the headers of the arrays in an ``.npz`` file, by member (``robust.npy``).

    Args:
        path: the file.
        unpacked: the largest size of all its arrays together, in bytes.
        members: the largest number of its members.
        inside: the folder that it may not be a link out of.

    Raises:
        Refused: if it is not a plain file or is damaged, or a header does not say the size of its
            array.
    """
    with open_archive(path, members=members, unpacked=unpacked, inside=inside) as archive:
        return {member.filename: _header_of(archive, member) for member in archive.infolist()}


def read_npz(
    path: Path,
    *,
    unpacked: int,
    names: Collection[str] | None = None,
    members: int = MEMBERS,
    inside: Path | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by name; no Python object is read.

    Args:
        path: the file.
        unpacked: the largest size of all its arrays together, in bytes.
        names: the arrays to read, as far as they are there; all of them if left out.
        members: the largest number of its members.
        inside: the folder that it may not be a link out of.

    Raises:
        Refused: if it is not a plain file or is damaged, or a header does not say the size of its
            array, or an array holds Python objects.
    """
    with open_archive(path, members=members, unpacked=unpacked, inside=inside) as archive:
        return {
            name: _array(archive, member)
            for member in archive.infolist()
            if (name := member.filename.removesuffix(".npy")) != member.filename
            and (names is None or name in names)
        }


def npz_members(path: Path, *, unpacked: int, members: int = MEMBERS) -> list[str]:
    """Return the names of the members of an ``.npz`` file, such as ``robust.npy``.

    Raises:
        Refused: if it is not a plain file, or is damaged or too large.
    """
    with open_archive(path, members=members, unpacked=unpacked) as archive:
        return [member.filename for member in archive.infolist()]


def read_npy(path: Path, *, longest: int = LIST_BYTES) -> NDArray[Any]:
    """Return the array of an ``.npy`` file; no Python object is read.

    Raises:
        Refused: if it is not a plain file or is damaged, too large or holds Python objects.
    """
    content = read_bytes(path, longest=longest)
    try:
        _header(io.BytesIO(content), len(content), path.name)
        return _read(io.BytesIO(content))
    except Exception as error:
        raise Refused(path, shortened(error, 200).rstrip(". ")) from error


def _header_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    with archive.open(member) as file:
        return _header(file, member.file_size, member.filename)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    _header_of(archive, member)
    with archive.open(member) as file:
        values = _read(file)
        file.read(1)  # at its end, the member's checksum is compared
    return values


def _header(file: IO[bytes], size: int, name: str) -> Header:
    """Return the header at the start of a file; its array must fill the rest of ``size`` bytes."""
    what = f"'{shortened(name)}'"
    read = _READERS.get(np.lib.format.read_magic(file))
    if read is None:
        raise ValueError(f"{what} has an unknown version of the format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers as Python 2 wrote them
        shape, _, dtype = read(file, max_header_size=_HEADER)
    if dtype.hasobject:
        raise ValueError(f"{what} holds Python objects, and reading them could execute code")
    if any(axis < 0 for axis in shape) or dtype.itemsize == 0:
        raise ValueError(f"{what} has an impossible shape or type")
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{what} does not have the size that its header says")
    return Header(shape, dtype)


def _read(file: IO[bytes]) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values: NDArray[Any] = np.lib.format.read_array(
            file, allow_pickle=False, max_header_size=_HEADER
        )
    _check_text(values)
    return values


def _check_text(values: NDArray[Any]) -> None:
    """Check that text consists of characters: numpy reads any four bytes as one."""
    if values.dtype.kind != "U":
        return
    flat = np.ascontiguousarray(values).reshape(-1)
    codes = flat.view(np.dtype("u4").newbyteorder(values.dtype.byteorder))
    if (codes > sys.maxunicode).any() or ((codes >= 0xD800) & (codes <= 0xDFFF)).any():
        raise ValueError("it has text that is not Unicode")
