"""The options that all campaigns have."""

import argparse


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
