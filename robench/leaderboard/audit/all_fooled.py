"""The sentences that nothing was left to attack, held against what other figures say was left.

Such a sentence is one of the checks' own attacks, whose outcomes are not published. It is refused
where their accuracies make it all but impossible.
"""

import re

from robench.checks.trajectory import MOST
from robench.leaderboard.audit.figures import Figures, Seen

FEW = 10
"""Images that may be expected among those left where a sentence says that there is none: if their
number is by chance, none is met in 1 of 20,000 networks."""

_MARGIN = re.compile(r".* on the cross-entropy and (\d{1,3}\.\d)% on the margin.*")


def none_left(figures: Figures, seen: Seen) -> bool:
    """Return whether the attacks by gradients may have fooled every image together.

    They are those among the columns, the standard attack and that on the margin. Which images the
    latter leave is not known; attacks that are unrelated leave the product of their shares, as on a
    random network, and others more.
    """
    return seen.left * _share(seen, _standard_left(seen)) * _share(seen, _margin_left(seen)) <= FEW


def all_followed(figures: Figures, seen: Seen) -> bool:
    """Return whether the standard attack may have fooled every image at its last step.

    Only the first images are followed. Those of one class may all be fooled, as the columns show.
    """
    followed = min(MOST, seen.correct) * _share(seen, _standard_left(seen))
    return min(followed, seen.followed) <= FEW


def all_passed(figures: Figures, seen: Seen) -> bool:
    """Return whether it may have fooled every image at one of its steps.

    It may lose again what it found, which 'silent_success' tells.
    """
    silent = seen.said.get("silent_success")
    return all_followed(figures, seen) or silent is None or silent.passed is not True


def no_statistics(figures: Figures, seen: Seen) -> bool:
    """Return whether the network may keep no statistics."""
    return not seen.has_statistics


def _standard_left(seen: Seen) -> float:
    """Return how many images the standard attack left, by the curve; 0 if that does not say."""
    at = [point.accuracy for point in seen.curve if abs(point.eps - seen.eps) <= 1e-9]
    return at[0] * seen.samples if at else 0.0


def _margin_left(seen: Seen) -> float:
    """Return how many images the attack on the margin left; 0 if no finding says so."""
    found = seen.said.get("other_loss")
    match = _MARGIN.fullmatch(found.sentence) if found else None
    return float(match[1]) / 100 * seen.samples if match else 0.0


def _share(seen: Seen, left: float) -> float:
    return min(left / seen.correct, 1.0) if seen.correct else 0.0
