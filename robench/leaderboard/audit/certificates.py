"""Compare what the certificates of a cell say with each other, and with its attacks."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from robench.board.attack_calls import build_attack
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.certified import certificates, refuted
from robench.leaderboard.published import PublishedCell
from robench.runs.records import EvaluatedColumn, OutcomeEntry

LIPSCHITZ = "certified"
"""The certificate of the suite: its radii follow from a constant, or it says why there is none."""

ROUNDING = 1e-6
"""Relative difference of two constants, or of a radius from the largest one, that is rounding."""


def certificate_problems(
    cell: PublishedCell,
    columns: Mapping[str, EvaluatedColumn],
    defaults: Mapping[str, Any],
    shape: Sequence[int] | None = None,
) -> Iterator[str]:
    """Yield what is impossible in the certificates of a cell, one sentence each.

    Args:
        cell: a cell with a manifest.
        columns: the columns of its board.
        defaults: the options that its attacks inherit.
        shape: the shape of an image; None if it is not known here.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    assert cell.file.manifest is not None
    works = {name: _work(name, defaults) for name in certificates(columns)}
    entries = {entry.column: entry for entry in cell.file.manifest.outcomes.values()}
    for entry in entries.values():
        if not columns[entry.column].proves:
            if entry.lipschitz is not None or entry.unproved:
                yield f"outcomes of {entry.column}: it proves nothing, but says so of the network."
        else:
            yield from (
                f"outcomes of {entry.column}: {text}"
                for text in (
                    *_of_column(cell, columns, entry, works),
                    *_of_proof(cell, entry, entries[_first(entry.column, works)]),
                    *_beyond(cell.outcomes[entry.column], columns[entry.column], shape),
                )
            )
    if not works:
        return
    outcomes = dict(cell.outcomes)  # read once
    if any(len(outcomes[name]) > len(outcomes["clean"]) for name in works):
        return  # the lengths are reported
    if count := int(refuted(outcomes, columns).sum()):
        yield (
            f"certificates: an attack fooled {count} image(s) within their certified radius: the "
            f"proof is wrong, or not of this network."
        )


def _work(column: str, defaults: Mapping[str, Any]) -> Hashable:
    """Return what is equal for certificates that share one proof; the column if that is unknown."""
    try:
        attack = build_attack(column, defaults)
    except UserError:  # of a file of its own, which is not executed here
        return column
    return type(attack), attack.shared_work()


def _of_column(
    cell: PublishedCell,
    columns: Mapping[str, EvaluatedColumn],
    entry: OutcomeEntry,
    works: Mapping[str, Hashable],
) -> Iterator[str]:
    ball = columns[entry.column].proves
    assert ball is not None
    outcomes = cell.outcomes[entry.column]
    radii = outcomes.l2
    if not np.array_equal(outcomes.linf, radii if ball[0] == "linf" else np.zeros_like(radii)):
        yield "its sizes in 'linf' are not those of a certificate."
    if any(getattr(outcomes, name).any() for name in ("queries", "forwards", "backwards")):
        yield "a certificate asks no model, but has costs."
    robust = outcomes.correct & (radii.astype(np.float64) >= ball[1])
    if not (np.array_equal(outcomes.robust, robust) and np.array_equal(outcomes.rounded, robust)):
        yield f"images are counted as certified that have no radius of {ball[1]:g}, or others not."
    if entry.unproved and (radii.any() or entry.lipschitz is not None):
        yield "nothing is proved of the network, it says, but images have radii or it a constant."
    first = _first(entry.column, works)
    other = cell.outcomes[first].l2
    both = min(len(radii), len(other))
    if not np.array_equal(radii[:both], other[:both]):
        yield f"the certified radii are not those of {first}."


def _first(column: str, works: Mapping[str, Hashable]) -> str:
    """Return the first column that shares the proof of a column."""
    return next(name for name, work in works.items() if work == works[column])


def _of_proof(cell: PublishedCell, entry: OutcomeEntry, first: OutcomeEntry) -> Iterator[str]:
    """Compare what a column says of its proof with what the first column of that proof says."""
    mine, theirs = entry.lipschitz, first.lipschitz
    if entry.column.partition("(")[0] == LIPSCHITZ and mine is None and not entry.unproved:
        yield "it has neither a Lipschitz constant nor a reason why nothing is proved."
    if len(cell.outcomes[entry.column]) != len(cell.outcomes[first.column]):
        return  # a certificate by somebody else may be about these images
    if (mine is None) is not (theirs is None) or (
        mine is not None and theirs is not None and not math.isclose(mine, theirs, rel_tol=ROUNDING)
    ):
        yield f"its Lipschitz constant is not that of {first.column}, which shares its proof."
    if bool(entry.unproved) is not bool(first.unproved):
        yield f"it differs from {first.column}, which shares its proof, in what is proved at all."


def _beyond(
    outcomes: Outcomes, column: EvaluatedColumn, shape: Sequence[int] | None
) -> Iterator[str]:
    """Compare radii with the largest distance of two images, which the evaluator cuts them at."""
    assert column.proves is not None
    widest = 1.0 if column.proves[0] == "linf" else math.sqrt(math.prod(shape)) if shape else None
    largest = float(outcomes.l2.max(initial=0.0))
    if widest is not None and largest > widest * (1 + ROUNDING):
        yield f"it has a radius of {largest:.6g}, but no image is farther away than {widest:.6g}."
