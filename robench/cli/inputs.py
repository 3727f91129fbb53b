"""Leaderboards on the command line: a folder, or one of the files in it that robench names."""

from pathlib import Path
from typing import Annotated

import typer


def leaderboard_folder(path: Path) -> Path:
    """Return the folder of a leaderboard, of which a file may have been typed.

    ``robench run`` ends with the path of ``leaderboard.csv``, which people copy.
    """
    from robench.leaderboard.evidence import BOARD, SUMS, TABLE, TOML

    known = path.name in (TABLE, BOARD, TOML, SUMS) and (path.parent / SUMS).is_file()
    return path.parent if known and path.is_file() else path


def leaderboard_folders(paths: list[Path]) -> list[Path]:
    """Return the folders of leaderboards, see :func:`leaderboard_folder`."""
    return [leaderboard_folder(path) for path in paths]


Published = Annotated[
    Path,
    typer.Argument(help="Folder of a published leaderboard.", callback=leaderboard_folder),
]
