"""Compare the columns of a cell: values that are possible, on the same images, within the ball."""

from collections.abc import Iterator
from typing import get_args

import numpy as np

from robench.board.specs import EvaluationSpec
from robench.data.facts import facts_of
from robench.evaluation import Outcomes
from robench.evaluation.agreement import Precision
from robench.evaluation.validation import TOLERANCE
from robench.leaderboard.audit.certificates import certificate_problems
from robench.leaderboard.audit.randomness import (
    clean_problem,
    move_problem,
    predictions_of,
    reason_problems,
)
from robench.leaderboard.audit.values import COSTS, SIZES, value_problems
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.runs.records import EvaluatedColumn, OutcomeEntry

PRECISIONS = get_args(Precision)
"""The names of the precisions of gradients in manifests."""

BOUNDED_BELOW = {"l1": "l2"}
"""Norm -> a published size that is never longer; "l0", which counts pixels, has none."""


def outcome_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where outcomes contradict each other or their attack, one sentence each.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    for cell in board.cells:
        for problem in _cell_problems(cell, board):
            yield f"'{cell.row}', seed {cell.seed}, {problem}"


def _cell_problems(cell: PublishedCell, board: Leaderboard) -> Iterator[str]:
    if cell.file.manifest is None:
        return
    entries = {entry.column: entry for entry in cell.file.manifest.outcomes.values()}
    clean = cell.outcomes["clean"]
    believed = predictions_of(cell, board.board.evaluation)
    yield from (f"predictions: {problem}" for problem in believed.problems)
    facts, defaults = facts_of(board.dataset), board.board.evaluation.defaults
    shape = facts.shape if facts else None
    yield from certificate_problems(cell, board.columns, defaults, shape)
    for column, outcomes in cell.outcomes.items():
        entry = entries[column]
        found = [
            *value_problems(outcomes, board.columns[column].corrupts),
            *(_of_clean(outcomes) if column == "clean" else ()),
            *_of_ball(outcomes, board.columns[column]),
            *_of_entry(entry, board.board.evaluation),
            *reason_problems(entry),
        ]
        if column != "clean":
            kind, proves = believed.kind, board.columns[column].proves
            moved = None if proves else move_problem(outcomes, kind)
            compared = clean_problem(outcomes, clean, kind), moved
            found += [problem for problem in compared if problem]
        yield from (f"outcomes of {column}: {problem}" for problem in found)


def _of_clean(clean: Outcomes) -> Iterator[str]:
    if not np.array_equal(clean.robust, clean.correct):
        yield "no image is attacked, but some are counted as fooled."
    if any(getattr(clean, name).any() for name in (*COSTS, *SIZES)):
        yield "no image is attacked, but some have costs or sizes."


def _of_ball(outcomes: Outcomes, column: EvaluatedColumn) -> Iterator[str]:
    """Compare sizes with the radius, which they may exceed as the evaluator itself allows."""
    if column.threat_model is None or not len(outcomes):
        return
    norm, eps = column.threat_model
    name = BOUNDED_BELOW.get(norm, norm)
    if name not in SIZES:
        return  # said in the notes
    largest = float(getattr(outcomes, name).astype(np.float64).max())
    if not largest <= eps + TOLERANCE * max(1, eps):
        yield f"an image is moved by {largest:.6g}, beyond the radius {eps:g} of its {norm} ball."


def _of_entry(entry: OutcomeEntry, evaluation: EvaluationSpec) -> Iterator[str]:
    """Compare the precision of the gradients with the shortcuts that the board leaves out."""
    if entry.gradients not in PRECISIONS:
        yield f"gradients have the precision {' or '.join(PRECISIONS)}, not this one."
    left_out = "bf16" in evaluation.without or "bf16" in entry.refused
    if left_out and entry.gradients != "float32":
        yield f"gradients were computed in {entry.gradients[:80]}, a shortcut that was left out."
    for name in sorted(set(entry.refused) & set(evaluation.without)):
        yield f"the network ruled out the shortcut '{name}', which the board leaves out."
