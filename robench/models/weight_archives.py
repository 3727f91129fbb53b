"""Check a file of ``torch.save`` before it is loaded: what it unpacks to, and what it asks for.

torch reads tensors and a few plain types only (``weights_only``), which executes no code. But it
unpacks archives whatever their size becomes, and it calls two functions that make as many bytes as
a file asks for: ``bytearray`` and ``_codecs.encode``.
"""

import codecs
import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path

from robench.system.archives import open_archive
from robench.system.reading import MIB, Refused, open_plain

_MEMBERS = 200_000
"""Largest number of tensors and records; ResNet-152 has about 930."""

_RATIO = 4
"""Largest ratio of what an archive unpacks to and its size: torch does not compress at all."""

_PICKLE = 64 * MIB
"""Largest size of the part of an archive that is not tensors."""

_PICKLES = 5
"""Pickles of a file as torch wrote it before 1.6; its tensors follow."""

_STARTS = (b"PK\x03\x04", b"\x80")
"""The first bytes of a zip archive and of a pickle."""

_FOREIGN = "it was cut off, or another program wrote it"

_LONGEST_NAME = 1000
"""Characters of a class's name: torch's own message takes time with the square of its length."""

_GROWING = ("bytearray",)
_LONGEST_CODEC = 30


def check_torch_file(path: Path) -> None:
    """Check a file before torch loads it.

    Raises:
        Refused: if it is no plain file, unpacks to far more than its size, or would make more bytes
            than it has.
    """
    with open_plain(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        first = file.read(4)
        if not first.startswith(_STARTS):
            raise Refused(path, _FOREIGN)
        start = first + file.read(_PICKLE) if not _is_zip(path) else b""
    if start:
        _check_pickle(path, start)
        return
    with open_archive(path, members=_MEMBERS, unpacked=_RATIO * size + MIB) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".pkl"):
                if member.file_size > _PICKLE:
                    raise Refused(path, f"its part without tensors has {member.file_size} bytes")
                _check_pickle(path, archive.read(member))


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except OSError:
        return False
    except zipfile.BadZipFile:  # its directory is damaged: opening it says how
        return True


def _check_pickle(path: Path, content: bytes) -> None:
    """Look for the two functions and for endless names, without unpickling anything."""
    grows = b"bytearray" in content or b"_codecs" in content
    try:
        for code, value in _texts(content):
            if code == "GLOBAL" and len(value) > _LONGEST_NAME:
                raise Refused(path, f"it names a class of {len(value)} characters")
            if grows and (_makes_bytes(value) or _is_binary_codec(value)):
                raise Refused(path, "it asks for bytes that are not in it")
    except Refused:
        raise
    except ValueError as error:
        raise Refused(path, _FOREIGN) from error


def _texts(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the texts and names in the pickles at the start of a file, and what each is for.

    Raises:
        ValueError: if they are damaged.
    """
    stream = io.BytesIO(content)
    for _ in range(_PICKLES):
        if stream.tell() == len(content):
            return
        for code, value, _ in pickletools.genops(stream):
            if isinstance(value, str):
                yield code.name, value


def _makes_bytes(value: str) -> bool:
    return value.rpartition(" ")[2] in _GROWING


def _is_binary_codec(value: str) -> bool:
    """Return whether a text names an encoding of bytes as bytes, such as ``hex``."""
    if not value.isascii() or not 0 < len(value) <= _LONGEST_CODEC:
        return False
    try:
        return not codecs.lookup(value)._is_text_encoding
    except (LookupError, ValueError):
        return False
