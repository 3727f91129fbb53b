"""A new folder appears at once, with all of its files, or not at all."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from robench.errors import UserError
from robench.system.files import cannot_write, sync_folder
from robench.system.locks import LOCK


def check_empty(folder: Path) -> None:
    """Check that a folder is new or empty.

    Raises:
        UserError: if there is something in it, or it cannot be read.
    """
    try:
        if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
            return
        is_folder = folder.is_dir()
    except OSError as error:
        raise UserError(cannot_write(folder, error)) from error
    what = "is not empty" if is_folder else "is not a folder"
    raise UserError(f"{folder} {what}; name a new folder with --out.")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder of the same name to fill, which becomes ``folder`` if nothing was raised.

    It is in a hidden folder beside, which is removed at the end. One that a killed process has
    left there is removed by the next that makes this folder.

    Args:
        folder: the folder to make; new or empty.

    Raises:
        UserError: if it cannot be written, or is no longer empty: another process made it.
    """
    target = Path(os.path.realpath(folder))  # Path.resolve raises at a link to itself
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(target)
        hidden = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        lock = FileLock(hidden / LOCK)
        lock.acquire()
    except OSError as error:
        raise UserError(cannot_write(folder, error)) from error
    try:
        yield hidden / target.name
        _appear(hidden / target.name, target, folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        lock.release()


def _appear(stage: Path, target: Path, folder: Path) -> None:
    try:
        os.rename(stage, target)  # noqa: PTH104 - Path.rename says nothing of an empty folder
        sync_folder(target.parent)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise UserError(
                f"{folder} is not empty: another robench wrote it meanwhile; name a new folder "
                f"with --out."
            ) from error
        raise UserError(cannot_write(folder, error)) from error


def _remove_left(target: Path) -> None:
    """Remove the hidden folders of processes that were killed: nobody holds their locks."""
    form = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}")
    for path in [*target.parent.iterdir()]:
        if not form.fullmatch(path.name) or not (path / LOCK).is_file():
            continue
        if {inner.name for inner in path.iterdir()} <= {LOCK, target.name}:
            with suppress(Timeout), FileLock(path / LOCK, timeout=0):
                shutil.rmtree(path, ignore_errors=True)
