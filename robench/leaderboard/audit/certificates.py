"""Compare what the certificates of a cell say with each other, and with its attacks."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np

from robench.board.attack_calls import build_attack
from robench.errors import UserError
from robench.leaderboard.certified import certificates, refuted
from robench.leaderboard.published import PublishedCell
from robench.runs.records import EvaluatedColumn, OutcomeEntry


def certificate_problems(
    cell: PublishedCell, columns: Mapping[str, EvaluatedColumn], defaults: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is impossible in the certificates of a cell, one sentence each.

    Args:
        cell: a cell with a manifest.
        columns: the columns of its board.
        defaults: the options that its attacks inherit.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    assert cell.file.manifest is not None
    works = {name: _work(name, defaults) for name in certificates(columns)}
    for entry in cell.file.manifest.outcomes.values():
        if not columns[entry.column].proves:
            if entry.lipschitz is not None or entry.unproved:
                yield f"outcomes of {entry.column}: it proves nothing, but says so of the network."
        else:
            yield from (
                f"outcomes of {entry.column}: {text}"
                for text in _of_column(cell, columns, entry, works)
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
    first = next(name for name, work in works.items() if work == works[entry.column])
    other = cell.outcomes[first].l2
    both = min(len(radii), len(other))
    if not np.array_equal(radii[:both], other[:both]):
        yield f"the certified radii are not those of {first}."
