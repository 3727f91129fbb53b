"""Which pages the site has, and where their text is in the repository."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "docs" / "zensical.toml"

ELSEWHERE = {
    "tutorials/notebook.md": "docs/tutorials/notebook.ipynb",
    "project/boards.md": "leaderboards/README.md",
    "project/benchmarks.md": "benchmarks/README.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/changelog.md": "CHANGELOG.md",
}
"""Pages that are not ``docs/`` and their name: page of the site -> file of the repository."""


def pages() -> dict[str, Path]:
    """Return the pages of the navigation and their files, relative to the repository's root."""
    nav = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]
    return {page: Path(ELSEWHERE.get(page, f"docs/{page}")) for page in _leaves(nav)}


def _leaves(nav: list[dict[str, Any]]) -> Iterator[str]:
    for entry in nav:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from _leaves(target)
