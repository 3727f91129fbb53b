"""The options that all campaigns have."""

import argparse
from pathlib import Path


def options(description: str, trials: int) -> argparse.ArgumentParser:
    """Return a parser with ``--trials`` and ``--seed``; campaigns add their own.

    Args:
        description: what the campaign does, for ``--help``.
        trials: the default number of trials.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--trials", type=int, default=trials, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="seed of all that is drawn at random")
    return parser


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Add ``--jobs`` and ``--work``, of campaigns on a board that is run first."""
    parser.add_argument("--jobs", type=int, default=1, help="processes; default: %(default)s")
    parser.add_argument(
        "--work", type=Path, help="folder of the board, which is kept; a temporary one by default"
    )
