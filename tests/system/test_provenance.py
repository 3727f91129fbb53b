"""The version of the code: the commit, and whether the code is that of the commit."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from robench.system import provenance
from robench.system.provenance import code_version


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with one commit, whose code asks for its version."""
    file = tmp_path / "robench" / "system" / "provenance.py"
    for path in (file, tmp_path / "defenses" / "one.py", tmp_path / "attacks" / "one.py"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / ".gitignore").write_text("*.egg-info/\n__pycache__/\n")
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(file))
    code_version.cache_clear()
    yield tmp_path
    code_version.cache_clear()


@pytest.mark.parametrize(
    ("file", "dirty"),
    [
        (None, False),
        ("defenses/one.py", True),
        ("defenses/mine.py", True),
        ("attacks/mine.py", True),
        ("robench/datasets/mine.py", True),
        ("robench/new/deeper/mine.py", True),
        ("defenses/__pycache__/mine.pyc", False),
        ("robench/robench.egg-info/PKG-INFO", False),
        ("notes.txt", False),
        ("tests/mine.py", False),
    ],
)
def test_a_changed_or_new_file_of_the_code_makes_it_dirty(
    checkout: Path, file: str | None, dirty: bool
) -> None:
    if file is not None:
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / file).write_text("x = 1\n")
    assert len(code_version().removesuffix("+dirty")) == 12
    assert code_version().endswith("+dirty") == dirty


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("0123456789ab\n", "0123456789ab"),
        ("0123456789ab+dirty\n", "0123456789ab+dirty"),
        ("a secret\n", "9.9"),
        (None, "9.9"),
    ],
)
def test_a_wheel_knows_the_commit_that_it_was_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None, version: str
) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "robench" / "system" / "p.py"))
    monkeypatch.setattr(provenance, "version", lambda package: "9.9")
    (tmp_path / "robench" / "system").mkdir(parents=True)
    if written is not None:
        (tmp_path / "robench" / "commit.txt").write_text(written)
    code_version.cache_clear()
    assert code_version() == version
    code_version.cache_clear()
