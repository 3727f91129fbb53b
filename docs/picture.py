"""Draw a leaderboard as printed in the terminal: python docs/picture.py quick docs/quick.svg."""

import io
import sys
from pathlib import Path

from rich.console import Console

from robench.cli.tables.boards import leaderboard_table
from robench.leaderboard.published import Leaderboard

ROOT = Path(__file__).resolve().parents[1]


def main(name: str, target: str) -> None:
    """Draw ``leaderboards/<name>/leaderboard.csv`` as an SVG file."""
    board = Leaderboard.read(ROOT / "leaderboards" / name)
    console = Console(record=True, width=116, file=io.StringIO())
    console.print(leaderboard_table(board.board, board.table, board.board.title))
    console.save_svg(target, title="robench run" if name == "quick" else f"robench run {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
