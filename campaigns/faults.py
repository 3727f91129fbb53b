"""The k-th open, write, fsync, rename, mkdir or unlink fails: once, or from then on.

    python -m campaigns.faults --trials 500

Either the run succeeds all the same, or it says in one sentence what went wrong, with exit code 2;
never a traceback. With the fault gone, the same command ends as an undisturbed run.
"""

import errno
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from campaigns.calls import Call, Watch
from campaigns.forked import Ground, warmed_up
from campaigns.kills import count_calls
from campaigns.options import options
from campaigns.outcome import differences
from campaigns.stopping import until_stopped
from campaigns.tally import Tally

ERRORS = ("ENOSPC", "EIO", "EROFS", "EDQUOT", "EMFILE", "EINTR", "EACCES")
SHORT = "short write"


@dataclass(frozen=True)
class Fault:
    """What fails.

    Attributes:
        number: the call, counted from 0.
        error: the name of an error, or :data:`SHORT`.
        always: whether all later calls fail, too.
    """

    number: int
    error: str
    always: bool

    def before(self, call: Call) -> bytes | None:
        """Raise the error, or shorten what is written."""
        if call.number != self.number and not (self.always and call.number > self.number):
            return None
        if self.error == SHORT:
            return call.data[: max(1, len(call.data) // 2)] if call.name == "write" else None
        number = getattr(errno, self.error)
        raise OSError(number, os.strerror(number), call.path)

    @property
    def kind(self) -> str:
        """Its kind in the report."""
        return f"{self.error}, {'from then on' if self.always else 'once'}"


def all_faults(calls: int, seed: int = 0) -> list[Fault]:
    """Return each fault at each call in random order: each call once, then each once more, ...

    Args:
        calls: the number of calls.
        seed: seed of the order.
    """
    generator = random.Random(seed)
    kinds = [*product((*ERRORS, SHORT), (False, True))]
    by_call = [generator.sample(kinds, len(kinds)) for _ in range(calls)]
    return [
        Fault(number, *by_call[number][turn])
        for turn in range(len(kinds))
        for number in generator.sample(range(calls), calls)
    ]


def campaign(trials: int, seed: int, ground: Ground) -> Tally:
    """Run a board with a fault, and then without.

    Args:
        trials: the number of faults, in the order of :func:`all_faults`; all if there are fewer.
        seed: seed of the draw.
        ground: what trials start from.
    """
    tally = Tally()
    for fault in until_stopped(all_faults(count_calls(ground), seed)[:trials]):
        failure = failure_of(fault, ground)
        tally.add(fault.kind, failure and f"call {fault.number}: {failure}")
    return tally


def failure_of(fault: Fault, ground: Ground) -> str | None:
    """Return what went wrong under a fault or after it; None if nothing did."""
    out, undisturbed = ground.empty(), ground.undisturbed
    under = ground.run(out, Watch(out, fault.before).install)
    if failure := under.wrong([0, 2]):
        return failure
    # A lock that could not be removed does no harm: the next run takes and removes it.
    if under.code == 0 and (failure := differences(out, undisturbed, ignored="tiny/.lock")):
        return f"success, but {failure}"
    if failure := ground.run(out).wrong([0]) or differences(out, undisturbed):
        return f"afterwards: {failure}"
    return None


def main() -> int:
    """Run the campaign and print its figures."""
    arguments = options("Let calls of a tiny run fail.", 100).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tally = campaign(arguments.trials, arguments.seed, warmed_up(Path(scratch)))
    print(tally.report("Failing calls"))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
