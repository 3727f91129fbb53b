"""One writer at a time: a lock on a folder that robench processes of all machines respect.

On one machine the system keeps the lock, and frees it however its process ends. Where several
machines share a folder that is not enough: on some network file systems such a lock is seen by one
machine only, or by none. So there is a lease as well, a file that its holder touches now and then,
which others may take over once it has not been touched for :data:`LEASE_SECONDS`.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, LeaseSettingsMismatch, SoftFileLease, Timeout

from robench.errors import UserError
from robench.system.files import cannot_write, check_file

LOCK = ".lock"
"""The name of the lock's file. The system frees the lock of a process that ends in any way."""

LEASE = ".lease"
"""The name of the lease's file, which is there while somebody holds it."""

LOCKS = (LOCK, LEASE)
"""The files in a folder that are its lock, and no part of what is in it."""

LEASE_SECONDS = 300.0
"""How long a lease lasts that is not renewed. Long, since a machine that is short of memory or
waits for its file server may be silent for minutes."""

_leases: dict[Path, SoftFileLease] = {}
"""Those that this process holds or waits for: how long one was not renewed is kept in it."""


class HeldError(UserError):
    """Another process is at work in the folder."""


def check_lock(folder: Path) -> None:
    """Refuse what is in the place of the lock of a folder: it may be no link, which is not locked.

    Raises:
        UserError: if there is something else than a plain file.
    """
    for path in (folder / name for name in LOCKS):
        if path.is_symlink():
            raise UserError(f"{path} is a link; remove it.")
        check_file(path)


def holder_of(folder: Path) -> str:
    """Return which machine and process has a folder to itself; "" if none, or it has ended.

    One of another machine that ended without giving it back is named until somebody takes over. Of
    this machine, a lease that was not renewed in time is nobody's, even if there is a process of
    that number: after a restart it may be any program.
    """
    owner = SoftFileLease(folder / LEASE, lease_duration=LEASE_SECONDS).owner
    if owner is None:
        return ""
    # In a container, what follows is the name of its processes' namespace.
    here = owner.hostname.partition("?")[0] == socket.gethostname()
    if here and (not psutil.pid_exists(owner.pid) or _is_expired(folder / LEASE)):
        return ""
    return f"{owner.hostname}, process {owner.pid}"


def _is_expired(path: Path) -> bool:
    """Return whether the file of a lease was not touched in time, or is gone."""
    try:
        return time.time() - path.lstat().st_mtime >= LEASE_SECONDS
    except OSError:
        return True


@contextmanager
def sole_writer(
    folder: Path, does: str, *, keep: bool = True, patience: float = 0.0
) -> Iterator[None]:
    """Keep other robench processes out of a folder, which is created if it is new.

    The same thread may enter again.

    Args:
        folder: the folder.
        does: what the other process does in it, for the message.
        keep: whether the file of the lock stays there.
        patience: how many seconds to wait for the other process.

    Raises:
        HeldError: if another process, perhaps of another machine, holds the lock.
        UserError: if something else is in its place, or the folder cannot be written; or, at the
            end, if this process was silent for so long that another one took over.
    """
    with ExitStack() as exits:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            check_lock(folder)
            exits.enter_context(_lock(folder / LOCK, patience, keep=keep))
            lease = exits.enter_context(_lease(folder / LEASE, patience))
        except (Timeout, LeaseSettingsMismatch):
            raise HeldError(
                f"another robench {does} {folder}; wait for it or use another --out."
            ) from None
        except OSError as error:
            raise UserError(cannot_write(folder, error)) from error
        yield
    if lease.compromise is not None:
        raise UserError(
            f"another robench took over {folder}, since this one was silent for "
            f"{LEASE_SECONDS / 60:.0f} minutes; run the same command again."
        )


@contextmanager
def _lock(path: Path, patience: float, *, keep: bool) -> Iterator[None]:
    lock = FileLock(path, is_singleton=True)
    lock.acquire(timeout=patience)
    try:
        yield
    finally:
        if not keep and lock.lock_counter == 1:
            # While it is held: others notice that it is gone. One that stays does no harm.
            with suppress(OSError):
                path.unlink()
        lock.release()


@contextmanager
def _lease(path: Path, patience: float) -> Iterator[SoftFileLease]:
    lease = _leases.setdefault(path, SoftFileLease(path, lease_duration=LEASE_SECONDS))
    try:
        _acquire(lease, patience)
    except (Timeout, LeaseSettingsMismatch):
        left = _if_left(path)
        if left is None or not _take_away(path, left):
            raise
        lease.acquire(timeout=0)
    try:
        yield lease
    finally:
        with suppress(OSError):  # one that stays is taken over as soon as this process has ended
            lease.release()
        if not lease.lock_counter:
            _leases.pop(path, None)


def _acquire(lease: SoftFileLease, patience: float) -> None:
    try:
        lease.acquire(timeout=patience)
    except Timeout:  # the first attempt may only have removed that of a process which has ended
        lease.acquire(timeout=0)


def _if_left(path: Path) -> os.stat_result | None:
    """Return the file of a lease if nobody has touched it for :data:`LEASE_SECONDS`, or None.

    The lock beside it is held and touched: both times are the file system's, since the clocks of
    machines differ. filelock measures by the clock of the process, so that a new one waits as long
    again, and waits for ever for a lease of another duration and for one that a power failure has
    torn after its first lines: whose that is can no longer be told.
    """
    lock = path.with_name(LOCK)
    try:
        os.utime(lock)
        lease = path.lstat()
        return lease if lock.stat().st_mtime - lease.st_mtime >= LEASE_SECONDS else None
    except OSError:
        return None


def _take_away(path: Path, left: os.stat_result) -> bool:
    """Remove a lease that somebody left, and no other one; return whether it is gone.

    Where the lock beside it holds nobody back, another process may have taken the lease over since
    it was looked at. So it is moved aside, looked at again, and put back if it is a new one.
    """
    aside = path.with_name(f"{path.name}.break.{secrets.token_hex(8)}")
    try:
        if not _same(path.lstat(), left):
            return False
        path.rename(aside)
    except FileNotFoundError:  # another process has just done so
        return True
    taken = _same(aside.lstat(), left)
    if not taken:
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            pass  # a third process was faster; who lost the lease learns it at the end
        except OSError:  # a file system without links
            aside.rename(path)
    aside.unlink(missing_ok=True)
    return taken


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_mtime_ns) == (other.st_ino, other.st_mtime_ns)
