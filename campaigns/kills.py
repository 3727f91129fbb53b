"""SIGKILL at random instants, and before and after each call that changes a file.

    python -m campaigns.kills --trials 1000

A tiny board is run and killed; the same command is then run to its end. Nothing may be lost:
weights, outcomes and tables are those of an undisturbed run, no traceback, no file left.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from campaigns.calls import Call, Watch
from campaigns.forked import Ground, of_board, run, warmed_up
from campaigns.options import options
from campaigns.outcome import differences
from campaigns.stopping import until_stopped
from campaigns.tally import Tally


class Killer:
    """Kills this process before or after the call with a number."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.number, self.is_after = number, after

    def before(self, call: Call) -> None:
        """Kill before the call."""
        if not self.is_after and call.number == self.number:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, call: Call) -> None:
        """Kill after the call."""
        if self.is_after and call.number == self.number:
            os.kill(os.getpid(), signal.SIGKILL)


def campaign(trials: int, seed: int, ground: Ground) -> Tally:
    """Kill runs and resume them.

    Args:
        trials: the number of kills: half of them at random instants, the others at calls.
        seed: seed of the instants and calls.
        ground: what trials start from.
    """
    calls = count_calls(ground)
    generator = random.Random(seed)
    tally = Tally()
    places = [(number, after) for number in range(calls) for after in (False, True)]
    generator.shuffle(places)
    for trial in until_stopped(range(trials)):
        out = ground.empty()
        if trial % 2:
            kind, where = "at a random instant", f"trial {trial}"
            for _ in range(generator.choice([1, 1, 2, 3])):
                instant = generator.uniform(0, ground.seconds * 1.05)
                run(of_board(ground.board, out), ground.scratch, kill_after=instant)
        else:
            number, after = places[trial // 2 % len(places)]
            kind, where = f"{'after' if after else 'before'} a call", f"call {number}"
            killer = Killer(number, after=after)
            ground.run(out, Watch(out, killer.before, killer.after).install)
        failure = ground.run(out).wrong([0]) or differences(out, ground.undisturbed)
        tally.add(kind, failure and f"{where}: {failure}")
    return tally


def count_calls(ground: Ground) -> int:
    """Return how many calls a whole run makes."""
    out, counted = ground.scratch / "counted", ground.scratch / "count.txt"
    seen: list[str] = []

    def note(call: Call) -> None:
        seen.append(call.name)
        counted.write_text(str(len(seen)))

    ended = ground.run(out, Watch(out, note).install)
    assert ended.code == 0, ended.err
    shutil.rmtree(out)
    return int(counted.read_text())


def main() -> int:
    """Run the campaign and print its figures."""
    arguments = options("Kill runs of a tiny board and resume them.", 100).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tally = campaign(arguments.trials, arguments.seed, warmed_up(Path(scratch)))
    print(tally.report("SIGKILL"))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
