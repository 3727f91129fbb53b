"""2 to 16 processes on one store: runs of a board, others that publish, and readers throughout.

    python -m campaigns.processes --trials 20

No cell may be computed twice at once, lost or mixed; nobody prints a traceback; a reader says that
a board is sound only if it is. At the end the store is that of an undisturbed run, whoever was
refused.
"""

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from campaigns.forked import Ended, Ground, Process, of_board, warmed_up
from campaigns.options import options
from campaigns.outcome import differences
from campaigns.stopping import until_stopped
from campaigns.tally import Tally

MOST = 16
"""The largest number of processes."""

BUSY = "another robench"
"""What the sentence of one that was refused says."""


def campaign(trials: int, seed: int, ground: Ground, most: int = MOST) -> Tally:
    """Let processes work on one store at once.

    Args:
        trials: the number of groups of processes.
        seed: seed of their numbers and of what they do.
        ground: what trials start from.
        most: the largest number of processes.
    """
    generator = random.Random(seed)
    tally = Tally()
    for trial in until_stopped(range(trials)):
        group(generator.randint(2, most), ground, generator, f"trial {trial}", tally)
    return tally


def group(count: int, ground: Ground, generator: random.Random, name: str, tally: Tally) -> None:
    """Let ``count`` processes work at once, and add what each did to the tally."""
    board, undisturbed, scratch = ground.board, ground.undisturbed, ground.scratch
    out = ground.empty()
    shutil.rmtree(scratch / "shared", ignore_errors=True)
    source, published = undisturbed / "tiny", out / "tiny"
    commands = {
        "run": [of_board(board, out)],
        "merge": [["merge", str(source), "--out", str(scratch / "shared" / "merged")]],
        "submit": [["submit", str(source), "--store", str(undisturbed), "--out",
                    str(scratch / "shared" / "submitted")]],
        "verify": [["verify", str(published), "--rows", "0"],
                   ["verify", str(scratch / "shared" / "merged"), "--rows", "0"]],
        "page": [["page", str(published), "--out", str(scratch / "shared" / "page.html")]],
    }  # fmt: skip
    kinds = [generator.choice([*commands]) for _ in range(count - 2)]
    processes = []
    for kind in ["run", "run", *kinds]:
        processes.append((kind, Process(generator.choice(commands[kind]), scratch)))
        time.sleep(generator.uniform(0, ground.seconds / count))
    worked = 0
    for kind, process in processes:
        ended = process.wait(300)
        worked += kind == "run" and ended.out.count(": training")
        failure = ended.wrong([0, 2])
        if kind in ("run", "merge", "submit") and ended.code == 2 and not failure:
            failure = _refusal(ended)
        tally.add(kind, failure and f"{name}: {failure}")
    failure = ground.run(out).wrong([0]) or differences(out, undisturbed)
    if worked > 1:
        failure = f"the cell was trained {worked} times"
    tally.add("the store at the end", failure and f"{name}: {failure}")
    for folder, command in (("merged", "verify"), ("submitted", "check-submission")):
        if (scratch / "shared" / folder).exists():
            rows = ["--rows", "0"]
            read = Process([command, str(scratch / "shared" / folder), *rows], scratch).wait(300)
            failure = read.wrong([0])
            tally.add(f"what {folder} at once left", failure and f"{name}: {failure}")


def _refusal(ended: Ended) -> str | None:
    """Return what is wrong with a refusal: another reason than that others were first."""
    expected = (BUSY, "is not empty")
    return None if any(words in ended.err for words in expected) else ended.err.strip()[-300:]


def main() -> int:
    """Run the campaign and print its figures."""
    arguments = options("Let several processes work on one store.", 10).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tally = campaign(arguments.trials, arguments.seed, warmed_up(Path(scratch)))
    print(tally.report("Several processes"))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
