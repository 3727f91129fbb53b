"""Validate names and sizes of a submission's files before any of them is opened."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from robench.errors import UserError
from robench.leaderboard.challenge.files import LARGEST as CHALLENGE_BYTES
from robench.leaderboard.derived import KEYS
from robench.leaderboard.evidence import (
    BOARD,
    COMPARISONS,
    SUMS,
    TABLE,
    TOML,
    WEIGHTS_BYTES,
    no_folder,
)
from robench.leaderboard.submission import limits
from robench.leaderboard.submission.limits import shown
from robench.leaderboard.submission_readme import README

TABLES = (TABLE, COMPARISONS, *KEYS)

_ALLOWED: Mapping[re.Pattern[str], int] = {
    re.compile(rf"{re.escape(BOARD)}"): limits.JSON_BYTES,
    re.compile("|".join(map(re.escape, TABLES))): limits.TEXT_BYTES,
    re.compile(rf"{re.escape(SUMS)}"): limits.TEXT_BYTES,
    re.compile(re.escape(README)): limits.CODE_BYTES,
    re.compile(re.escape(TOML)): limits.JSON_BYTES,
    re.compile(r"manifests/[\w-]{1,90}\.json"): limits.JSON_BYTES,
    re.compile(r"outcomes/[0-9a-f]{16}/[\w-]{1,80}\.npz"): limits.SAMPLES * 64,
    re.compile(r"challenges/[0-9a-f]{16}/[0-9a-f]{16}\.npz"): CHALLENGE_BYTES,
    re.compile(r"weights/[0-9a-f]{16}\.safetensors"): WEIGHTS_BYTES,
    re.compile(r"model/\w{1,80}\.py"): limits.CODE_BYTES,
    re.compile(r"sources/[\w-]{1,100}(/[\w-]{1,80}){1,12}\.py"): limits.CODE_BYTES,
}
"""Paths that a submission may have -> their largest size in bytes."""


def check_layout(folder: Path) -> set[str]:
    """Return the relative paths of all files; only their names and sizes are examined.

    Raises:
        UserError: if there is a link or a file that does not belong there, or the folder is too
            large.
    """
    if not folder.is_dir() or folder.is_symlink():
        what = f"{folder} is a link" if folder.is_symlink() else no_folder(folder)
        raise UserError(f"{what}; name the folder of a submission.")
    found: set[str] = set()
    total = sources = 0
    for name, size in _files(folder, ""):
        limit = next((size for form, size in _ALLOWED.items() if form.fullmatch(name)), None)
        if limit is None:
            raise UserError(f"{shown(name)} does not belong in a submission; remove it.")
        if size > limit:
            raise UserError(f"{shown(name)} has {size} bytes; at most {limit} are allowed.")
        found.add(name)
        total += size
        sources += name.startswith("sources/")
        if sources > limits.SOURCES:
            raise UserError(
                f"{folder} has more than {limits.SOURCES} files of code in sources/, which nobody "
                f"can read; submit entries that need fewer."
            )
        if len(found) > limits.FILES or total > limits.TOTAL_BYTES:
            raise UserError(
                f"{folder} holds more than {limits.FILES} files or {limits.TOTAL_BYTES} bytes; "
                f"submit fewer rows at a time."
            )
    missing = [name for name in (BOARD, TABLE, COMPARISONS, SUMS) if name not in found]
    if missing:
        raise UserError(f"{folder} has no {missing[0]}; write it with 'robench submit'.")
    return found


def _depth(prefix: str) -> int:
    """Return how many folders deep files may be: packages of code are nested."""
    return 13 if prefix.startswith("sources/") else 2


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name, status = f"{prefix}{entry.name}", entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and any(f.fullmatch(name) for f in _ALLOWED):
                    raise UserError(f"{shown(name)} is a folder; replace it with the file.")
                if stat.S_ISDIR(status.st_mode) and prefix.count("/") < _depth(prefix):
                    yield from _files(Path(entry.path), f"{name}/")
                elif stat.S_ISREG(status.st_mode):
                    yield name, status.st_size
                else:
                    raise UserError(
                        f"{shown(name)} is a link or not a regular file; replace it with the file."
                    )
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror or error}.") from error
