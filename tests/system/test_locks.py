"""One writer at a time, also where other machines share the folder.

Another machine is played by a lease on the same file that knows nothing of this process's lock.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from socket import gethostname

import pytest
from filelock import SoftFileLease, Timeout

from robench.errors import UserError
from robench.system import locks
from robench.system.locks import LEASE, HeldError, check_lock, holder_of, sole_writer

ELSEWHERE = """filelock/2
pid=1
host=elsewhere
mode=lease
token={token}
duration={duration}
start=1
"""


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let leases expire after half a second."""
    monkeypatch.setattr(locks, "LEASE_SECONDS", 0.5)
    return 0.5


def enter(folder: Path, patience: float = 0.0) -> None:
    with sole_writer(folder, "is at work in", patience=patience):
        assert (folder / LEASE).exists()


def age(path: Path, seconds: float) -> None:
    path.touch()
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_the_same_thread_enters_again_and_leaves_no_lease(tmp_path: Path) -> None:
    with sole_writer(tmp_path, "is at work in"):
        enter(tmp_path)
        assert (tmp_path / LEASE).exists()
    assert not (tmp_path / LEASE).exists()
    assert not locks._leases


def test_another_machine_is_kept_out_for_as_long_as_the_lease_is_renewed(
    tmp_path: Path, soon: float
) -> None:
    other = SoftFileLease(tmp_path / LEASE, lease_duration=soon)
    with sole_writer(tmp_path, "is at work in"), pytest.raises(Timeout):
        other.acquire(timeout=3 * soon)
    other.acquire(timeout=0)
    with pytest.raises(HeldError, match=r"another robench is at work in .*; wait for it or use"):
        enter(tmp_path, patience=3 * soon)
    other.release()
    enter(tmp_path)


def test_a_machine_that_is_gone_is_waited_for_until_its_lease_has_expired(
    tmp_path: Path, soon: float
) -> None:
    (tmp_path / LEASE).write_text(ELSEWHERE.format(token="0" * 32, duration=soon))
    start = time.monotonic()
    with pytest.raises(HeldError):
        enter(tmp_path)
    while True:
        try:
            enter(tmp_path)
        except HeldError:
            time.sleep(0.05)
        else:
            break
    assert time.monotonic() - start >= soon


def test_who_was_silent_for_too_long_learns_at_the_end_that_another_took_over(
    tmp_path: Path, soon: float
) -> None:
    other = SoftFileLease(tmp_path / LEASE, lease_duration=soon)

    def work() -> None:
        with sole_writer(tmp_path, "is at work in"):
            (tmp_path / LEASE).unlink()  # as the other does with one that was not renewed
            other.acquire(timeout=0)
            time.sleep(soon)

    with pytest.raises(UserError, match=r"took over .* run the same command again"):
        work()
    assert other.is_locked
    other.release()


def test_the_holder_is_named_until_it_has_ended(tmp_path: Path) -> None:
    assert holder_of(tmp_path) == ""
    with sole_writer(tmp_path, "is at work in"):
        assert holder_of(tmp_path).endswith(f", process {os.getpid()}")
    assert holder_of(tmp_path) == ""
    (tmp_path / LEASE).write_text(ELSEWHERE.format(token="0" * 32, duration=300.0))
    assert holder_of(tmp_path) == "elsewhere, process 1"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    text = ELSEWHERE.format(token="0" * 32, duration=300.0).replace("pid=1", f"pid={ended.pid}")
    for name, said in (("", ""), ("?pidns-1", ""), ("0", f"{gethostname()}0, process {ended.pid}")):
        (tmp_path / LEASE).write_text(text.replace("elsewhere", gethostname() + name))
        assert holder_of(tmp_path) == said


def test_a_process_of_the_same_number_after_a_restart_is_not_named(tmp_path: Path) -> None:
    left = ELSEWHERE.format(token="0" * 32, duration=300.0)
    left = left.replace("pid=1", f"pid={os.getpid()}").replace("elsewhere", gethostname())
    (tmp_path / LEASE).write_text(left)
    age(tmp_path / LEASE, locks.LEASE_SECONDS - 60)  # its holder renews it every 100 seconds
    assert holder_of(tmp_path) == f"{gethostname()}, process {os.getpid()}"
    age(tmp_path / LEASE, locks.LEASE_SECONDS + 60)
    assert holder_of(tmp_path) == ""


def test_a_lease_of_a_robench_with_another_duration_is_respected(tmp_path: Path) -> None:
    (tmp_path / LEASE).write_text(ELSEWHERE.format(token="0" * 32, duration=30.0))
    with pytest.raises(HeldError):
        enter(tmp_path)


@pytest.mark.parametrize("kept", [25, 30, 36, 47, 67, 72])
def test_a_lease_that_power_has_torn_is_waited_for_and_then_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    text = ELSEWHERE.format(token="0" * 32, duration=300.0)
    (tmp_path / LEASE).write_text(text[:kept])
    monkeypatch.setattr(locks, "LEASE_SECONDS", 0.5)
    with suppress(HeldError):
        enter(tmp_path)
    time.sleep(0.6)
    enter(tmp_path)
    assert not (tmp_path / LEASE).exists()


@pytest.mark.parametrize("kept", [30, 999])
def test_one_that_was_left_long_ago_is_taken_over_by_a_process_that_has_not_seen_it_before(
    tmp_path: Path, kept: int
) -> None:
    """By the clock of the file system, which stamps both the lease and the lock."""
    path = tmp_path / LEASE
    path.write_text(ELSEWHERE.format(token="0" * 32, duration=300.0)[:kept])
    age(path, locks.LEASE_SECONDS - 60)
    with pytest.raises(HeldError):
        enter(tmp_path)
    age(path, locks.LEASE_SECONDS + 60)
    enter(tmp_path)
    assert not path.exists()


def left_long_ago(path: Path) -> os.stat_result:
    """Make a lease that has expired, and return it as a process finds it that is to take over."""
    path.with_name(locks.LOCK).touch()
    path.write_text(ELSEWHERE.format(token="0" * 32, duration=300.0))
    age(path, locks.LEASE_SECONDS + 60)
    found = locks._if_left(path)
    assert found is not None
    return found


def test_of_two_that_find_a_lease_expired_only_the_first_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems where the lock beside it holds nobody back."""
    path = tmp_path / LEASE
    found = left_long_ago(path)
    first = SoftFileLease(path, lease_duration=locks.LEASE_SECONDS)

    def first_is_faster(lease: Path) -> os.stat_result:
        lease.unlink()
        first.acquire(timeout=0)
        return found

    monkeypatch.setattr(locks, "_if_left", first_is_faster)
    with pytest.raises(HeldError):
        enter(tmp_path)
    first.release()
    assert first.compromise is None
    assert not path.exists()


def test_a_new_lease_that_was_moved_aside_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / LEASE
    found = left_long_ago(path)
    rename = Path.rename

    def replaced_just_before(self: Path, target: Path) -> Path:
        self.unlink()
        self.write_text("new")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", replaced_just_before)
    assert not locks._take_away(path, found)
    assert path.read_text() == "new"
    assert {file.name for file in tmp_path.iterdir()} == {*locks.LOCKS}


def test_one_of_another_duration_that_is_renewed_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LEASE).write_text(ELSEWHERE.format(token="0" * 32, duration=30.0))
    monkeypatch.setattr(locks, "LEASE_SECONDS", 0.3)
    for _ in range(4):
        with pytest.raises(HeldError):
            enter(tmp_path)
        time.sleep(0.2)
        os.utime(tmp_path / LEASE)


@pytest.mark.parametrize("name", [locks.LOCK, LEASE])
def test_a_link_or_a_folder_in_the_place_of_a_lock_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=name):
        check_lock(tmp_path)
    (tmp_path / name).rmdir()
    (tmp_path / name).symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match=f"{name} is a link"):
        enter(tmp_path)
