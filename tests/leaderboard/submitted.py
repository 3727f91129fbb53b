"""Submissions for the tests: written once, copied for each test that changes them."""

import shutil
from pathlib import Path

from robench.leaderboard.evidence import SUMS, write_sums

NETWORK = """
import pathlib

from torch import nn

pathlib.Path(__file__).with_name("ran.txt").write_text("this code was run")


def build():
    return nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
"""


def copied(folder: Path, target: Path) -> Path:
    """Return a copy that a test may change."""
    return Path(shutil.copytree(folder, target))


def sum_up(folder: Path) -> None:
    """Rewrite the checksums of all files that are there, as a forger would."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != SUMS]
    write_sums(folder, files)


def only(folder: Path, pattern: str) -> Path:
    """Return the first file that matches a pattern."""
    return next(iter(sorted(folder.glob(pattern))))
