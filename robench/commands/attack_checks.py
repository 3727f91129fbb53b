"""``robench attack --checks``: can the accuracies that were just measured be trusted?"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from robench.base import Attack, ThreatModel
from robench.board.attack_calls import build_attack
from robench.checks import Report, check_model
from robench.commands.attack import Target, attack_target
from robench.errors import UserError
from robench.evaluation import Evaluation
from robench.evaluation.notices import without_notices
from robench.evaluation.options import EvaluationOptions
from robench.progress import Progress, ProgressCallback
from robench.runs.check_cell import search_of
from robench.system.out_of_memory import OUT_OF_MEMORY, is_out_of_memory

RANKING = "pgd-20"
"""The attack whose threat model is checked, if it is among the attacks; else it is the first with a
threat model, as on boards."""

SAMPLES = 128
"""Number of images of the checks' own attacks, at most, as on boards."""


@dataclass
class Stopwatch:
    """Measures how long each group of attacks of an evaluation takes; a progress callback.

    Attributes:
        passed_on: the callback that gets the reports.
        seconds: names of the attacks that share a search, separated by ", " -> seconds.
        resumed: the groups that an earlier session had begun.
    """

    passed_on: ProgressCallback
    seconds: dict[str, float] = field(default_factory=dict)
    resumed: set[str] = field(default_factory=set)
    _began: dict[str, float] = field(default_factory=dict)

    def update(self, progress: Progress) -> None:
        """Take the time of a progress report, and pass it on."""
        self.passed_on(progress)
        now = time.perf_counter()
        if progress.task not in self._began and progress.done:
            self.resumed.add(progress.task)
        self.seconds[progress.task] = now - self._began.setdefault(progress.task, now)

    def of(self, attack: str) -> float | None:
        """Return the seconds of the group of an attack; None if they are not all of its time."""
        for group, seconds in self.seconds.items():
            if attack in group.split(", ") and group not in self.resumed:
                return seconds
        return None


@dataclass(frozen=True)
class CheckedTarget:
    """The checks of a network that was attacked.

    Attributes:
        images: number of images that were attacked before.
        threat_model: what they were made for; None if they could not be made.
        report: their findings; None if they could not be made.
        seconds: how long they took.
        pgd_seconds: how long PGD-20 took on all images; None if that is not known.
        refused: why they could not be made, the end of a sentence; "" if they were.
    """

    images: int
    threat_model: ThreatModel | None = None
    report: Report | None = None
    seconds: float = 0.0
    pgd_seconds: float | None = None
    refused: str = ""

    def beside(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table of the attacks with the flags and the best-effort accuracy, if any."""
        if self.report is None:
            return table
        flags = " ".join(self.report.failed)
        found = self.report.best_effort if flags else None
        return table.assign(flags=flags, **({} if found is None else {"best_effort": found}))


@dataclass(frozen=True, eq=False)
class Attacked:
    """A network that was attacked, with all that its checks need.

    Attributes:
        target: the network and its images.
        attacks: the attacks, by the name of their column.
        result: their outcomes.
        pgd_seconds: how long PGD-20 took on all images; None if it was not run, or was resumed.
    """

    target: Target
    attacks: Mapping[str, Attack]
    result: Evaluation
    pgd_seconds: float | None


def attack_timed(
    target: Target,
    attacks: Sequence[str],
    *,
    defaults: Mapping[str, Any],
    options: EvaluationOptions,
) -> Attacked:
    """Attack a network; see :func:`robench.commands.attack.attack_target`."""
    watch = Stopwatch(options.progress)
    result = attack_target(
        target, attacks, defaults=defaults, options=replace(options, progress=watch.update)
    )
    built = {name: build_attack(name, defaults) for name in attacks}
    return Attacked(target, built, result, watch.of(RANKING))


def check_attacked(attacked: Attacked, options: EvaluationOptions) -> CheckedTarget:
    """Check a network after it was attacked; no attack is run twice.

    Args:
        attacked: the network and the outcomes of its attacks.
        options: those of the attacks.
    """
    sample = attacked.target.sample
    images = len(sample.labels)
    search = search_of(RANKING, attacked.attacks)
    if search is None:
        return CheckedTarget(images, refused="none of the attacks has a threat model.")
    threat_model, step_size = search
    outcomes = attacked.result.attacks
    began = time.perf_counter()
    try:
        with without_notices():  # what is to be said of the images, their loading says
            report = check_model(
                attacked.target.model,
                sample.images,
                sample.labels,
                threat_model,
                columns={
                    name: (attack, outcomes[name]) for name, attack in attacked.attacks.items()
                },
                samples=min(SAMPLES, images),
                step_size=step_size,
                seed=options.seed,
                batch_size=options.batch_size,
                device=options.device,
                without=options.without,
                progress=options.progress,
            )
    except UserError as error:
        return CheckedTarget(images, refused=str(error))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return CheckedTarget(images, refused=OUT_OF_MEMORY)  # the attacks' figures stand
    seconds = time.perf_counter() - began
    return CheckedTarget(images, threat_model, report, seconds, attacked.pgd_seconds)
