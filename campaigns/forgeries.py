"""Forgeries with consistent hashes: how many does ``robench verify`` find?

    python -m campaigns.forgeries --trials 1000 --seed 0 --jobs 2

Each trial copies a submission, changes one field of its schema, and makes all hashes, file names
and tables agree again. Then the folder goes through ``verify`` and ``check-submission`` without
attacks, ``verify`` with attacks on its weights, and ``verify --retrain``, until one of them finds
something. The campaign fails if a forgery passes all, unless it is of a kind that nobody can find
out (``campaigns/forging/declared``), or if one of them crashes.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from campaigns.forging.consistent import make_consistent
from campaigns.forging.declared import declared
from campaigns.forging.draft import Draft, Forgery, meaning
from campaigns.forging.fields import all_forgeries
from campaigns.in_process import Finished, robench
from campaigns.options import add_processes, options
from campaigns.pool import in_processes
from campaigns.record import Record
from campaigns.remade import kept
from campaigns.sample import sample
from campaigns.tally import Tally
from robench.leaderboard.evidence import BOARD, SUMS

STAGES: dict[str, tuple[str, ...]] = {
    "files": ("verify", "--rows", "0"),
    "submission": ("check-submission", "--rows", "0"),
    "weights": ("verify", "--rows", "all", "--trust-code"),
    "retraining": ("verify", "--rows", "all", "--trust-code", "--retrain"),
}
"""What finds a forgery -> the command, without the folder; in the order in which they are run."""

NOTHING, CRASH, UNCHANGED = "nothing", "crash", "unchanged"
DRAWS = 6
"""How often a change is drawn again if it leaves every byte as it was."""

HANGS = 1800
"""Seconds after which a stage counts as hanging; all attacks on a busy machine take minutes."""


@dataclass(frozen=True)
class Trial:
    """The result of one forgery.

    Attributes:
        label: the field.
        change: what was changed.
        stage: what found it: one of :data:`STAGES`, or ``nothing``, ``crash``, ``unchanged``.
        finding: the first sentence about it.
    """

    label: str
    change: str
    stage: str
    finding: str = ""

    @property
    def failure(self) -> str | None:
        """Why the trial failed; None if it did not."""
        if self.stage == CRASH:
            return f"{self.change}: {self.finding}"
        if self.stage == NOTHING and declared(self.label) is None:
            return f"{self.change}: nothing found it"
        return None


def forge(submission: Path, index: int, seed: int, stages: Sequence[str] = tuple(STAGES)) -> Trial:
    """Forge one field of a submission, and return what found it.

    Args:
        submission: the folder, which is copied.
        index: the number of the trial; it determines the field and, with ``seed``, the value.
        seed: the seed of the campaign.
        stages: what may find it.
    """
    label, change = "", ""
    for draw in range(DRAWS):
        with tempfile.TemporaryDirectory() as scratch, _drafted(submission, scratch) as draft:
            rng = np.random.default_rng([seed, index, draw])
            forgeries = fields_of(submission)
            order = np.random.default_rng(seed).permutation(len(forgeries))
            forgery = forgeries[order[index % len(forgeries)]]
            label = forgery.label
            made = forgery.apply(draft, rng)
            if made is None:
                continue
            change = made
            make_consistent(draft)
            if contents(draft.root, label) == contents(submission, label):
                continue
            return _found(draft.root, Trial(label, change, NOTHING), stages)
    return Trial(label, change, UNCHANGED)


@contextmanager
def _drafted(submission: Path, scratch: str) -> Iterator[Draft]:
    before = Path.cwd()
    os.chdir(scratch)  # no command finds a store of weights beside the folder
    try:
        yield Draft.of(submission, Path(scratch) / submission.name)
    finally:
        os.chdir(before)


@cache
def fields_of(submission: Path) -> list[Forgery]:
    """Return the fields of a submission that can be forged, in a fixed order."""
    with tempfile.TemporaryDirectory() as scratch:
        return all_forgeries(Draft.of(submission, Path(scratch) / submission.name))


def contents(folder: Path, label: str) -> dict[str, Any]:
    """Return relative path -> what robench reads there, to see whether anything was changed."""
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    found: dict[str, Any] = {name: path.read_bytes() for name, path in files.items()}
    for name in found:
        if name == BOARD or name.startswith("manifests/"):
            found[name] = meaning(name, json.loads(found[name]))
    if not label.startswith(SUMS):
        del found[SUMS]
    return found


def _found(folder: Path, trial: Trial, stages: Sequence[str]) -> Trial:
    for stage in stages:
        command, *rest = STAGES[stage]
        with kept():
            done: Finished = robench(command, folder, "--device", "cpu", *rest, limit=HANGS)
        if done.code is None:
            return Trial(trial.label, trial.change, CRASH, f"{stage}: {done.first}")
        if done.code != 0:
            return Trial(trial.label, trial.change, stage, done.first)
    return trial


def check_honest(submission: Path) -> None:
    """Check that nothing is found in the submission as it is.

    Raises:
        SystemExit: if a command finds something: no trial would say anything.
    """
    for stage, (command, *rest) in STAGES.items():
        done = robench(command, submission, "--device", "cpu", *rest, limit=HANGS)
        if done.code != 0:
            sys.exit(f"the honest submission does not pass '{stage}':\n{done.text}")


def report(trials: Sequence[Trial]) -> tuple[str, int]:
    """Return the report of a campaign, and the number of failures."""
    tally, stages = Tally(), defaultdict[str, Counter[str]](Counter)
    for trial in trials:
        if trial.stage == UNCHANGED:
            continue
        tally.add(trial.label, trial.failure)
        stages[trial.label][trial.stage] += 1
    columns = [*STAGES, NOTHING, CRASH]
    width = max((len(label) for label in stages), default=0)
    lines = [f"{'found by':<{width}}  " + "  ".join(f"{column:>10}" for column in columns)]
    for label, counts in sorted(stages.items()):
        cells = "  ".join(f"{counts[column] or '':>10}" for column in columns)
        lines.append(f"{label:<{width}}  {cells}")
    total = sum(stages.values(), Counter[str]())
    lines.append(f"{'all':<{width}}  " + "  ".join(f"{total[c]:>10}" for c in columns))
    passed = [trial for trial in trials if trial.stage == NOTHING]
    excused = Counter(kind for trial in passed if (kind := declared(trial.label)) is not None)
    lines += ["", "Nobody can find out:"]
    lines += [f"- {kind}: {count}" for kind, count in sorted(excused.items())]
    found = tally.trials.total() - total[NOTHING] - total[CRASH]
    lines += [
        "",
        f"{found} of {tally.trials.total()} forgeries found, in {len(stages)} fields; "
        f"{excused.total()} of kinds that nobody can find out; {tally.failed} failed (below "
        f"{tally.bound:.2g} of all, 95%).",
        *(f"- {example}" for example in tally.examples),
    ]
    return "\n".join(lines), tally.failed


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = options("Forge a submission, one field at a time.", trials=1000)
    add_processes(parser)
    parser.add_argument(
        "--record",
        type=Path,
        help="file to which each result is appended; the trials that it has are not run again",
    )
    return parser.parse_args(arguments)


def _one(arguments: tuple[Path, int, int]) -> tuple[int, Trial]:
    return arguments[1], forge(*arguments)


def main() -> None:
    """Run the campaign."""
    chosen = parse()
    with tempfile.TemporaryDirectory() as scratch:
        root = (chosen.work or Path(scratch)).resolve()
        submission = sample(root).submission
        check_honest(submission)
        record = Record(chosen.record, chosen.seed, Trial)
        trials = record.done
        work = [(submission, i, chosen.seed) for i in range(chosen.trials) if i not in trials]
        for index, trial in in_processes(_one, work, chosen.jobs, sample, root):
            trials[index] = trial
            record.append(index, trial)
            if trial.failure:
                print(f"{len(trials)}: {trial.label}: {trial.failure}", file=sys.stderr)
        text, failed = report([trials[i] for i in range(chosen.trials)])
    print(text)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
