"""What ``--out`` may name, checked before any work: a folder to write into, or a file to write."""

import os
from collections.abc import Iterable
from pathlib import Path

from robench.errors import UserError


def folder_for_output(path: Path) -> Path:
    """Return the path of a folder, new or not.

    Raises:
        UserError: if it, or a folder that it would be in, is a file.
    """
    _check_folders(path, (path, *path.parents))
    return path


def file_for_output(path: Path | None) -> Path | None:
    """Return the path of a file, new or not; None if none was named.

    Raises:
        UserError: if it is a folder, or a folder that it would be in is a file.
    """
    if path is None:
        return None
    if path.is_dir():
        raise UserError(f"--out {path}: it is a folder; name a file in it.")
    _check_folders(path, path.parents)
    return path


def _check_folders(out: Path, places: Iterable[Path]) -> None:
    for place in places:
        if os.path.lexists(place) and not place.is_dir():
            what = "it" if place == out else str(place)
            raise UserError(f"--out {out}: {what} is a file, not a folder; name another place.")
