"""Damaged and hostile files: every reader must read them or refuse them in one sentence.

    python -m campaigns.fuzz --format npz --trials 10000 --seed 0

Valid files of each format are changed at random, byte by byte and by their structure, and given to
the functions that robench's commands read them with. A trial passes if the file is read or a
``UserError`` is raised. It fails with any other exception, after ten seconds of processor time,
above 1 GiB of memory, or if a file was written that is not there to be written.
"""

import sys
import tempfile
from pathlib import Path

from campaigns.fuzzing.formats import FORMATS
from campaigns.fuzzing.worker import Trial, Workers
from campaigns.options import options
from campaigns.stopping import until_stopped
from campaigns.tally import Tally


def main(arguments: list[str] | None = None) -> Tally:
    """Run the campaign, print its figures and return them."""
    parser = options(str(__doc__).split("\n", 1)[0], trials=10_000)
    parser.add_argument("--format", default="all", choices=("all", *FORMATS))
    asked = parser.parse_args(arguments)
    chosen = list(FORMATS) if asked.format == "all" else [asked.format]
    tally = run(chosen, asked.trials, asked.seed)
    print(tally.report(f"Fuzzing, seed {asked.seed}, {asked.trials} files of each format"))
    return tally


def run(formats: list[str], trials: int, seed: int) -> Tally:
    """Give ``trials`` changed files of each format to its readers.

    Args:
        formats: keys of :data:`campaigns.fuzzing.formats.FORMATS`.
        trials: the number of files of each format.
        seed: the seed of all changes; trial ``n`` of a format is always the same file.
    """
    tally = Tally()
    for name in formats:
        with tempfile.TemporaryDirectory() as root:
            form = FORMATS[name](Path(root) / "home")
            with Workers(form, Path(root)) as workers:
                for number in until_stopped(range(trials)):
                    failure = workers.run(Trial(name, seed, number))
                    tally.add(name, failure and f"--seed {seed}, trial {number}: {failure}")
    return tally


if __name__ == "__main__":
    sys.exit(main().failed > 0)
