"""Checks and spectra of a stored cell: their hashes are in its manifest, and compared on reuse."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from robench.runs.store import CellFolder
from robench.runs.stored import read_manifest, read_or_none
from robench.system.files import json_text, write_json, write_text

Made = TypeVar("Made")


def read_report(folder: CellFolder, path: Path, make: Callable[[Any], Made]) -> Made | None:
    """Return what a file of checks or spectra holds, or None if it has to be made.

    A warning says if it is not the file that was written. One of an earlier version, which kept no
    hash of it, is taken if it has the right form.

    Args:
        folder: the folder of the cell, with a manifest; hold its lock.
        path: the file; it need not exist.
        make: makes an object of its content; see :func:`read_or_none`.
    """
    if not path.exists():
        return None
    return read_or_none(path, make, read_manifest(folder).reports.get(_name(folder, path)))


def write_report(folder: CellFolder, path: Path, value: Any) -> None:
    """Write a file of checks or spectra, and its hash into the manifest; hold the cell's lock.

    Raises:
        UserError: if they cannot be written.
    """
    text = json_text(value)
    manifest = read_manifest(folder)
    digest = hashlib.sha256(text.encode()).hexdigest()
    reports = manifest.reports | {_name(folder, path): digest}
    # The hash comes first: if the process is killed in between, the file is missing, not odd.
    if reports != manifest.reports:
        updated = manifest.model_copy(update={"reports": reports})
        write_json(folder.manifest, updated.model_dump(mode="json"))
    write_text(path, text)


def _name(folder: CellFolder, path: Path) -> str:
    return path.relative_to(folder.path).as_posix()
