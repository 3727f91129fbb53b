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
        start = file.read(_PICKLE) if not _is_zip(path) else b""
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
    """Look for the two functions, without unpickling anything; torch reports what is damaged."""
    if b"bytearray" not in content and b"_codecs" not in content:
        return
    for value in _texts(content):
        if _makes_bytes(value) or _is_binary_codec(value):
            raise Refused(path, "it asks for bytes that are not in it")


def _texts(content: bytes) -> Iterator[str]:
    """Yield the texts and names in the pickles at the start of a file, up to the first damage."""
    stream = io.BytesIO(content)
    for _ in range(_PICKLES):
        try:
            for _, value, _ in pickletools.genops(stream):
                if isinstance(value, str):
                    yield value
        except ValueError:
            return


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
