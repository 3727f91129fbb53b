"""Compare the columns of a cell: values that are possible, on the same images, within the ball."""

from collections.abc import Iterator
from typing import get_args

import numpy as np

from robench.board.specs import EvaluationSpec, Shortcut
from robench.evaluation import Outcomes
from robench.evaluation.agreement import Precision
from robench.evaluation.copies import ON_BATCH, RANDOM
from robench.evaluation.validation import TOLERANCE
from robench.leaderboard.audit.values import COSTS, SIZES, value_problems
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.runs.records import EvaluatedColumn, OutcomeEntry

PRECISIONS = get_args(Precision)
"""The names of the precisions of gradients in manifests."""


def outcome_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where outcomes contradict each other or their attack, one sentence each.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    for cell in board.cells:
        for problem in _cell_problems(cell, board):
            yield f"'{cell.row}', seed {cell.seed}, outcomes of {problem}"


def _cell_problems(cell: PublishedCell, board: Leaderboard) -> Iterator[str]:
    if cell.file.manifest is None:
        return
    entries = {entry.column: entry for entry in cell.file.manifest.outcomes.values()}
    clean = cell.outcomes["clean"]
    for column, outcomes in cell.outcomes.items():
        entry = entries[column]
        found = [
            *value_problems(outcomes),
            *(_of_clean(outcomes) if column == "clean" else ()),
            *_of_ball(outcomes, board.columns[column]),
            *_of_entry(entry, board.board.evaluation),
        ]
        if column != "clean" and not _may_be_random(entry, board.board.evaluation):
            found += [*_of_attack(outcomes, clean), *_of_moves(outcomes)]
        yield from (f"{column}: {problem}" for problem in found)


def _of_clean(clean: Outcomes) -> Iterator[str]:
    if not np.array_equal(clean.robust, clean.correct):
        yield "no image is attacked, but some are counted as fooled."
    if any(getattr(clean, name).any() for name in (*COSTS, *SIZES)):
        yield "no image is attacked, but some have costs or sizes."


def _of_attack(outcomes: Outcomes, clean: Outcomes) -> Iterator[str]:
    if len(outcomes) > len(clean):
        return  # the lengths are reported
    if not np.array_equal(outcomes.correct, clean.correct[: len(outcomes)]):
        yield "the images that are right when clean are not those of the column clean."


def _of_ball(outcomes: Outcomes, column: EvaluatedColumn) -> Iterator[str]:
    """Compare sizes with the radius, which they may exceed as the evaluator itself allows."""
    if column.threat_model is None or not len(outcomes):
        return
    norm, eps = column.threat_model
    # No norm below 2 is shorter than the Euclidean length; "l0" counts pixels.
    measured = {"linf": outcomes.linf, "l2": outcomes.l2, "l1": outcomes.l2}.get(norm)
    if measured is None:
        return
    largest = float(measured.astype(np.float64).max())
    if not largest <= eps + TOLERANCE * max(1, eps):
        yield f"an image is moved by {largest:.6g}, beyond the radius {eps:g} of its {norm} ball."


def _of_moves(outcomes: Outcomes) -> Iterator[str]:
    if (outcomes.fooled & ((outcomes.linf == 0) | (outcomes.l2 == 0))).any():
        yield "an image that is right when clean is counted as fooled, but was not changed."


def _of_entry(entry: OutcomeEntry, evaluation: EvaluationSpec) -> Iterator[str]:
    """Compare the precision of the gradients with the shortcuts that the board leaves out."""
    if entry.gradients not in PRECISIONS:
        yield f"gradients have the precision {' or '.join(PRECISIONS)}, not this one."
    left_out = "bf16" in evaluation.without or "bf16" in entry.refused
    if left_out and entry.gradients != "float32":
        yield f"gradients were computed in {entry.gradients[:80]}, a shortcut that was left out."
    for name in sorted(set(entry.refused) & set(evaluation.without)):
        yield f"the network ruled out the shortcut '{name}', which the board leaves out."


def _may_be_random(entry: OutcomeEntry, evaluation: EvaluationSpec) -> bool:
    """Return whether the predictions of a network may differ from call to call.

    The engine refuses shortcuts to such a network and records why; it cannot where the board leaves
    out all of them. Other images may then be right in another column, and one may be fooled without
    having been changed.
    """
    reasons = entry.refused.values()
    recorded = any(reason == RANDOM or reason.endswith(ON_BATCH) for reason in reasons)
    return recorded or set(get_args(Shortcut)) <= set(evaluation.without)
