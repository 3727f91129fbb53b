"""A new folder appears whole or not at all; one writer at a time."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from robench.errors import UserError
from robench.system.locks import LOCK, sole_writer
from robench.system.staging import new_folder

HOLDS = """
import sys, time
from pathlib import Path
from robench.system.locks import sole_writer
from robench.system.staging import new_folder

folder = Path(sys.argv[1])
with new_folder(folder) if sys.argv[2] == "fills" else sole_writer(folder, "is"):
    print("in", flush=True)
    time.sleep(60)
"""

Holder = Callable[[Path, str], subprocess.Popen[str]]


@pytest.fixture
def holder() -> Iterator[Holder]:
    """Start another process that fills a folder, or locks it, and does not end."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path, does: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDS, str(folder), does]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "in\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def fill(folder: Path, name: str) -> None:
    """Make a folder with one file."""
    with new_folder(folder) as stage:
        assert stage.name == folder.name
        stage.mkdir()
        (stage / name).touch()


def test_a_new_folder_appears_with_its_files_and_nothing_beside_it(tmp_path: Path) -> None:
    fill(tmp_path / "sub" / "new", "x")
    assert [path.name for path in (tmp_path / "sub").rglob("*")] == ["new", "x"]


def test_nothing_appears_if_something_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        fill(tmp_path / "new", "../../file/x")
    (tmp_path / "file").unlink()
    assert not [*tmp_path.iterdir()]


def test_an_empty_folder_is_replaced_and_one_that_another_made_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    fill(folder, "first")
    with pytest.raises(UserError, match="another robench wrote it meanwhile"):
        fill(folder, "second")
    assert [path.name for path in folder.iterdir()] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_a_killed_process_left_is_removed_and_what_another_fills_is_not(
    tmp_path: Path, holder: Holder
) -> None:
    folder = tmp_path / "new"
    process = holder(folder, "fills")
    [hidden] = tmp_path.iterdir()
    fill(folder, "x")
    assert hidden.exists()
    process.kill()
    process.wait()
    (folder / "x").unlink()
    fill(folder, "x")
    assert not hidden.exists()


def test_the_second_writer_is_refused_until_the_first_ends_in_any_way(
    tmp_path: Path, holder: Holder
) -> None:
    process = holder(tmp_path, "locks")
    with pytest.raises(UserError, match="another robench is at work in"), _alone(tmp_path):
        pass
    process.kill()
    process.wait()
    with _alone(tmp_path), _alone(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def _alone(folder: Path) -> AbstractContextManager[None]:
    return sole_writer(folder, "is at work in", keep=False)
