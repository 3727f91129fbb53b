"""Store the commit in what is built: a board that a wheel has trained says which code trained it.

Everything else is in ``pyproject.toml``.
"""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
FILE = Path("robench") / "commit.txt"
"""Written into sdists and wheels only; in a checkout, git is asked."""


def commit() -> str:
    """Return the commit with ``+dirty`` if the code is modified; of an sdist, what it says."""
    head = git("rev-parse", "--short=12", "HEAD")
    if not head or not git("ls-files", "--error-unmatch", "setup.py"):
        stored = HERE / FILE
        return stored.read_text().strip() if stored.is_file() else ""
    status = git("status", "--porcelain", "--", "robench", "attacks", "defenses", "leaderboards")
    return f"{head}+dirty" if status else head


def git(*arguments: str) -> str:
    """Return what git prints, or nothing if it cannot."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=HERE, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def write(folder: Path) -> None:
    """Write the commit below a folder, if it is known."""
    if found := commit():
        (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(f"{found}\n")


class Build(build_py):
    """The command that copies modules into a wheel."""

    def run(self) -> None:
        """Copy them, and write the commit unless the installation is editable."""
        super().run()
        if not self.editable_mode:
            write(Path(self.build_lib))


class Source(sdist):
    """The command that makes an sdist."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy the files, and write the commit."""
        super().make_release_tree(base_dir, files)
        write(Path(base_dir))


setup(cmdclass={"build_py": Build, "sdist": Source})
