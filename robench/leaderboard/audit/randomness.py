"""How far the predictions of one network may differ from column to column, by what its files say.

The engine records that logits differ from call to call, or with the batch, as a reason for not
taking its shortcuts. Anybody can write such a text: it is believed only where the checks do not
contradict it, and loosens the comparison of columns no further than it explains.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from robench.board.specs import EvaluationSpec
from robench.checks.significance import at_least
from robench.evaluation import Outcomes
from robench.evaluation.copies import ON_BATCH, RANDOM
from robench.evaluation.reasons import is_reason
from robench.leaderboard.audit.figures import TIES
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.runs.records import OutcomeEntry

Kind = Literal["same", "nearly", "random", "batch"]
"""Predictions that are always the same; that differ in the last bits of logits; that differ from
call to call; and that depend on the other images of a batch."""

UNLIKELY = 1e-4
"""A difference between columns that chance explains less often than this is a problem."""

_OF_ALL = frozenset({"pools", "channels_last"})
"""Shortcuts that only a network with clearly differing logits is refused; others fail for less."""

_WHY = {
    "nearly": "its logits may differ in their last bits",
    "random": "its logits may differ from call to call",
    "batch": f"its logits {ON_BATCH}",
}


@dataclass(frozen=True)
class Believed:
    """What is believed of the predictions of a cell.

    Attributes:
        kind: how they may differ.
        problems: what is wrong with what its files say about it.
    """

    kind: Kind
    problems: tuple[str, ...] = ()


def predictions_of(cell: PublishedCell, evaluation: EvaluationSpec) -> Believed:
    """Return how the predictions of a cell may differ, from its reasons and its checks."""
    entries = cell.file.manifest.outcomes.values() if cell.file.manifest else ()
    said = {_recorded(entry, evaluation) for entry in entries}
    findings = cell.file.checks.findings if cell.file.checks else ()
    passed = {finding.check: finding.passed for finding in findings}
    problems = []
    if len(said) > 1 and said & {"random", "batch"}:
        problems.append("the same reason must be given for all columns of a network, but is not.")
    if "random" in said and passed.get("same_logits"):
        problems.append(f"{RANDOM}, it says, but its check 'same_logits' passed.")
    if "unknown" in said:  # the engine had nothing to refuse, so that it recorded nothing
        if passed.get("same_logits") and passed.get("any_batch"):
            return Believed("nearly", tuple(problems))
        of_batch = passed.get("any_batch") is False
        return Believed("batch" if of_batch else "random", tuple(problems))
    if "random" in said:
        return Believed("random", tuple(problems))
    if "batch" in said:  # the check tolerates more than the engine
        return Believed("nearly" if passed.get("any_batch") else "batch", tuple(problems))
    return Believed("nearly" if "nearly" in said else "same", tuple(problems))


def reason_problems(entry: OutcomeEntry) -> Iterator[str]:
    """Yield which reasons of a column the engine does not write, one sentence each."""
    for name, reason in entry.refused.items():
        if not is_reason(reason):
            yield f"no network rules out the shortcut '{name}' because '{reason[:80]}'."


def clean_problem(outcomes: Outcomes, clean: Outcomes, kind: Kind) -> str | None:
    """Return where the clean predictions of a column are not those of the column clean, or None."""
    if len(outcomes) > len(clean):
        return None  # the lengths are reported
    here, there = outcomes.correct, clean.correct[: len(outcomes)]
    gained, lost = int((here & ~there).sum()), int((there & ~here).sum())
    differ = gained + lost
    if kind == "same" or (kind == "nearly" and differ > TIES):
        if differ:
            return "the images that are right when clean are not those of the column clean."
    elif kind != "nearly" and at_least(gained, differ, 0.5) < UNLIKELY:
        return f"{gained} images more than in the column clean are right, and {lost} are wrong."
    elif kind == "random" and at_least(differ, len(outcomes), 0.5) < UNLIKELY:
        return f"{differ} of {len(outcomes)} clean images are predicted otherwise than in clean."
    return None


def move_problem(outcomes: Outcomes, kind: Kind) -> str | None:
    """Return where images are fooled that were not changed, or None."""
    unchanged = (outcomes.linf == 0) | (outcomes.l2 == 0)
    count = int(np.count_nonzero(outcomes.fooled & unchanged))
    if kind in ("random", "batch") or count <= (TIES if kind == "nearly" else 0):
        return None
    return "an image that is right when clean is counted as fooled, but was not changed."


def randomness_notes(board: Leaderboard) -> Iterator[str]:
    """Yield which cells have columns that were compared less strictly than others, and why."""
    for cell in board.cells:
        if (kind := predictions_of(cell, board.board.evaluation).kind) != "same":
            yield (
                f"the columns of '{cell.row}', seed {cell.seed}, were compared only roughly: "
                f"{_WHY[kind]}."
            )


def _recorded(entry: OutcomeEntry, evaluation: EvaluationSpec) -> Kind | Literal["unknown"]:
    left_out: set[str] = set(evaluation.without)
    refused: dict[str, str] = {str(name): reason for name, reason in entry.refused.items()}
    telling = _OF_ALL - left_out
    if not telling and (RANDOM in refused.values() or left_out >= {"folding", "bf16"}):
        return "unknown"
    for name in sorted(telling or refused):
        if refused.get(name) == RANDOM:
            return "random"
        if refused.get(name) == f"its logits {ON_BATCH}":
            return "batch"
    return "nearly" if RANDOM in refused.values() else "same"
