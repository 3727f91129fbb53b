"""Atomic file writes: to a temporary name, synced, then renamed."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from robench.errors import UserError


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically; a reader never sees a partial file.

    Raises:
        UserError: if the folder cannot be created or written, or the disk is full.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = None
    except IsADirectoryError:
        raise UserError(f"cannot write {path}: it is a folder; name a file in it.") from None
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; "
            f"free space there or choose another folder with --out."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Return whether the file exists; a name longer than the system allows counts as absent."""
    try:
        return path.is_file()
    except OSError:
        return False


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8; see :func:`write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys; see :func:`write_bytes`."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return ``value`` as indented JSON with sorted keys."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
