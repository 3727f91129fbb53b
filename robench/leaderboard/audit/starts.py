"""Which lengths of perturbations the random start of an attack explains, on whatever network.

The start is drawn by the seed for each image. A search that a network does not lead anywhere ends
where it began, so that two networks without gradients have the same outcomes.
"""

import re

import numpy as np

from robench.evaluation import Outcomes
from robench.leaderboard.published import PublishedCell

_FLAT = re.compile(
    r"its input gradients are zero|its gradient cannot be computed"
    r"|.* inside it (?:has no gradient|runs without gradient|cuts the gradient)"
)
"""Reasons for which a network may have no gradient anywhere."""

_FLAT_CHECKS = ("zero_gradients", "saturated_loss")


def explained_lengths(cell: PublishedCell, column: str, outcomes: Outcomes) -> np.ndarray:
    """Return the images of a column whose lengths may be those of the random start, (n,) bool."""
    if not outcomes.backwards.any():
        return outcomes.fooled & (outcomes.queries <= 1)  # at the first point that it asked for
    if _says_flat(cell):
        return np.ones(len(outcomes), dtype=bool)
    explained = np.zeros(len(outcomes), dtype=bool)
    for name, other in cell.outcomes.items():
        # A gradient attack that begins at the image, such as FGSM, leaves it where none leads away.
        if name not in ("clean", column) and other.backwards.any():
            count = min(len(other), len(outcomes))
            still = other.correct & (other.l2 == 0)
            explained[:count] |= still[:count]
    return explained


def _says_flat(cell: PublishedCell) -> bool:
    """Return whether the engine or a check found gradients that are zero or missing."""
    findings = cell.file.checks.findings if cell.file.checks else ()
    if any(f.check in _FLAT_CHECKS and f.passed is False for f in findings):
        return True
    entries = cell.file.manifest.outcomes.values() if cell.file.manifest else ()
    return any(_FLAT.fullmatch(reason) for entry in entries for reason in entry.refused.values())
