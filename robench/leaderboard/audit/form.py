"""The form of a sentence: a regular expression, and what its figures must agree with."""

from dataclasses import dataclass

from robench.leaderboard.audit.figures import Figures, Fits, Seen

N, P, R = r"(\d{1,9})", r"(\d{1,3}\.\d)%", r"(L(?:inf|2) [\w.+/-]{1,24})"
"""A count, a percentage and a radius, as groups of a form."""

CHANCE = r"p (?:=|<) [\d.e+-]{1,12}"
"""A p-value."""


def _always(figures: Figures, seen: Seen) -> bool:
    return True


@dataclass(frozen=True)
class Form:
    """A sentence as the checks write it.

    Attributes:
        passed: what a finding with this sentence says.
        text: its regular expression.
        fits: (the figures, everything else that is known) -> whether they agree with ``passed``.
    """

    passed: bool | None
    text: str
    fits: Fits = _always
