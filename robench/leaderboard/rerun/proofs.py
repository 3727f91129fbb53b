"""Compare what a certificate proved of a network with what it proves of it here.

Radii that come from a Lipschitz constant are computed in float64 on the CPU, whatever the device of
the attacks is: rounding changes their last bits and nothing else, so that no device, and no number
of images, excuses a larger radius. Only whether an image counts as classified correctly is seen on
the device, and may be seen otherwise where the margin is next to 0, and the radius with it.
"""

import numpy as np
from numpy.typing import NDArray

from robench.evaluation import Outcomes
from robench.leaderboard.rerun.comparing import NOT, REPRODUCED
from robench.leaderboard.rerun.remake import Remade

RADIUS = 1e-6
"""Relative difference up to which two radii are equal: they are published as float32."""

UNDECIDED = 1e-3
"""Radius up to which two devices may disagree on whether the image is classified correctly."""


def has_constant(column: str, found: Remade) -> bool:
    """Return whether a column's radii come from a Lipschitz constant that was proved here."""
    entries = found.manifest.outcomes.values()
    return any(entry.column == column and entry.lipschitz is not None for entry in entries)


def proof_verdict(published: Outcomes, found: Outcomes, *, norm: str, earlier: bool) -> str:
    """Return the verdict on published radii.

    Args:
        published: outcomes of a certificate as published.
        found: what it proves here.
        norm: the norm of the radii.
        earlier: whether the certificate has changed since: its bounds may have become tighter, so
            that only larger radii than those that are found count.
    """
    if len(published) != len(found):
        return NOT
    there, here = (getattr(o, norm).astype(np.float64) for o in (published, found))
    undecided = (published.correct != found.correct) & (np.maximum(there, here) <= UNDECIDED)
    wrong = _exceeds(there, here) if earlier else _exceeds(there, here) | _exceeds(here, there)
    if (wrong & ~undecided).any() or (published.correct != found.correct)[~undecided].any():
        return NOT
    if not (count := int((published.robust != found.robust).sum())):
        return REPRODUCED
    noun = "image" if count == 1 else "images"
    return f"{REPRODUCED} but for {count} {noun} ({'earlier attack' if earlier else 'rounding'})"


def _exceeds(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return one > other * (1 + RADIUS)
