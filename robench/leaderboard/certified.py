"""What a row's certificates say, put beside its attacks: radii, constants, and contradictions."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from robench.evaluation.outcomes import Outcomes
from robench.leaderboard.row import LeaderboardRow
from robench.runs.records import CellResult, EvaluatedColumn

ROUNDED = 1e-4
"""Attacks see predictions in float32 or bf16, and proofs are of float64: a length that is smaller
than a radius by no more than this may be one of rounding, and contradicts nothing."""

UNSOUND = "unsound"
"""The flag of a row of which an attack contradicts a proof."""


def certificates(columns: Mapping[str, EvaluatedColumn]) -> list[str]:
    """Return the names of the columns of certificates."""
    return [name for name, column in columns.items() if column.proves]


def mean_radius(row: LeaderboardRow) -> float:
    """Return the mean certified radius over images and seeds; nan without outcomes.

    Misclassified images have radius 0. It is that of the first certificate.
    """
    name = certificates(row.result.columns)[0]
    radii = [radii_of(row.result.columns[name], o) for o in row.evaluated[name].outcomes]
    return float(np.mean(radii)) if radii else math.nan


def lipschitz(row: LeaderboardRow) -> float:
    """Return the largest Lipschitz constant over the seeds; nan if one has none."""
    found = [_constant(cell) for cell in row.cells]
    return max(found) if found and not any(map(math.isnan, found)) else math.nan


def unsound(row: LeaderboardRow) -> float:
    """Return how many images were fooled within their certified radius, summed over the seeds.

    It is 0 unless a proof is wrong; see :func:`refuted`. Each attack and corruption counts,
    whatever its norm: sizes are recorded in all norms in which there are certificates.
    """
    if row.diverged:
        return math.nan
    columns = row.result.columns
    several = {n: c.outcomes for n, c in row.evaluated.items() if n in columns and c.outcomes}
    seeds = [dict(zip(several, own, strict=True)) for own in zip(*several.values(), strict=True)]
    return float(sum(int(refuted(outcomes, columns).sum()) for outcomes in seeds))


def refuted(
    outcomes: Mapping[str, Outcomes], columns: Mapping[str, EvaluatedColumn]
) -> NDArray[np.bool_]:
    """Return which images of a cell an attack fooled within their certified radius, (n,) bool.

    Within is nearer by more than :data:`ROUNDED`.

    Args:
        outcomes: column -> outcomes of the cell, in memory.
        columns: column -> its meaning.
    """
    found = np.zeros(len(outcomes["clean"]), dtype=np.bool_)
    searched = [o for n, o in outcomes.items() if n != "clean" and not columns[n].proves]
    for name in certificates(columns):
        radii = radii_of(columns[name], outcomes[name])
        for attacked in searched:
            both = min(len(attacked), len(radii))
            nearer = radii_of(columns[name], attacked)[:both] < radii[:both] - ROUNDED
            found[:both] |= attacked.fooled[:both] & nearer
    return found


def flags(row: LeaderboardRow) -> list[str]:
    """Return the flags of a row that follow from its certificates."""
    if row.diverged or not certificates(row.result.columns):
        return []
    return [UNSOUND] * bool(unsound(row))


def radii_of(column: EvaluatedColumn, outcomes: Outcomes) -> NDArray[np.float32]:
    """Return the sizes of outcomes in the norm of a certificate: of its own, the radii."""
    assert column.proves is not None
    sizes: NDArray[np.float32] = getattr(outcomes, column.proves[0])
    return sizes


def _constant(cell: CellResult) -> float:
    manifest = cell.evidence.manifest
    entries = manifest.outcomes.values() if manifest else ()
    found = (entry.lipschitz for entry in entries if entry.lipschitz is not None)
    return next(found, math.nan)
