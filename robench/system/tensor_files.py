"""Check the header of a safetensors file that a stranger may have written, before it is loaded.

The library checks types, shapes and offsets; it reads headers of up to 100 MB, and takes the last
of several values of a key.
"""

import os
from pathlib import Path
from typing import Any

import safetensors

from robench.errors import shortened
from robench.system.json_files import parse_json
from robench.system.reading import MIB, Refused, open_plain

_HEADER = 16 * MIB
"""Largest size of a header; one of 20,000 tensors takes 2 MiB."""


def check_safetensors(path: Path) -> None:
    """Check kind and header of a file.

    Raises:
        Refused: if it is not a plain file, or its header is too large, is not JSON, has a key
            twice, or gives tensors that overlap or do not fill the file.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _HEADER):
            raise Refused(path, "it was cut off, or another program wrote it")
        content = file.read(length)
    try:
        _check_offsets(parse_json(content), size - 8 - length)
    except ValueError as error:
        raise Refused(path, f"its header is damaged: {shortened(error, 160)}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a safetensors file says of itself beside its tensors, of which none is loaded.

    Raises:
        Refused: if it is not a complete safetensors file.
    """
    try:
        check_safetensors(path)
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except Refused:
        raise
    except Exception as error:
        raise Refused(path, shortened(error, 200)) from error


def _check_offsets(header: Any, size: int) -> None:
    """Check that the tensors lie one after another and fill the rest of the file."""
    if not isinstance(header, dict):
        raise ValueError("it is not a table of tensors")
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    try:
        spans = sorted(tuple(entry["data_offsets"]) for entry in tensors.values())
        end = 0
        for first, last in spans:
            if first != end or last < first:
                raise ValueError("tensors overlap, or leave gaps")
            end = last
    except (TypeError, KeyError):
        raise ValueError("a tensor has no place in the file") from None
    if end != size:
        raise ValueError(f"its tensors take {end} bytes of {size}")
