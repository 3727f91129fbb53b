"""One writer at a time: a lock on a folder that other robench processes respect."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from robench.errors import UserError
from robench.system.files import cannot_write, check_file

LOCK = ".lock"
"""The name of the lock's file. The system frees the lock of a process that ends in any way."""


def check_lock(folder: Path) -> None:
    """Refuse what is in the place of the lock of a folder: it may be no link, which is not locked.

    Raises:
        UserError: if there is something else than a plain file.
    """
    path = folder / LOCK
    if path.is_symlink():
        raise UserError(f"{path} is a link; remove it.")
    check_file(path)


@contextmanager
def sole_writer(folder: Path, does: str, *, keep: bool = True) -> Iterator[None]:
    """Keep other robench processes out of a folder, which is created if it is new.

    The same thread may enter again.

    Args:
        folder: the folder.
        does: what the other process does in it, for the message.
        keep: whether the file of the lock stays there.

    Raises:
        UserError: if another process holds the lock, something else is in its place, or the folder
            cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_lock(folder)
        lock = FileLock(path, timeout=0, is_singleton=True)
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another robench {does} {folder}; wait for it or use another --out."
        ) from None
    except OSError as error:
        raise UserError(cannot_write(folder, error)) from error
    try:
        yield
    finally:
        if not keep and lock.lock_counter == 1:
            # While it is held: others notice that it is gone. One that stays does no harm.
            with suppress(OSError):
                path.unlink()
        lock.release()
