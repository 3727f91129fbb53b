"""How an attack ends: what the figures of the checks that follow its steps may say."""

from robench.checks.significance import LEVEL, at_least
from robench.leaderboard.audit.figures import (
    TIES,
    Figures,
    Fits,
    Seen,
    at_most_all,
    close,
    far_apart,
    option_of,
)

_CHECK = "incomplete_optimization"


def incomplete(figures: Figures, seen: Seen) -> bool:
    """Compare (moving, images, left by many steps, left by few, left by APGD): far apart."""
    *before, adapted = figures
    far = far_apart(before[3], adapted, option_of(_CHECK, "far"))
    return at_most_all(figures, seen) and (far or _early(tuple(before)))


def complete(figures: Figures, seen: Seen) -> bool:
    """Compare (moving, images, left by many steps, left by few, left by APGD): not far apart."""
    few, adapted = figures[3:]
    compared = (few, str(seen.samples), adapted)
    return at_most_all(figures, seen) and close(compared, option_of(_CHECK, "far"), seen)


def incomplete_then(figures: Figures, seen: Seen) -> bool:
    """Compare (moving, images, left by many steps, left by few), as version 2 of reports did."""
    return seen.version == 2 and at_most_all(figures, seen) and _early(figures)


def complete_then(figures: Figures, seen: Seen) -> bool:
    """Compare (moving, images, left by many steps, left by few), as version 2 of reports did."""
    return seen.version == 2 and at_most_all(figures, seen)


def _early(figures: Figures) -> bool:
    moving, count, many, few = (float(figure) for figure in figures)
    gap = (few - many) / 100
    return moving > option_of(_CHECK, "moving") * count and gap > option_of(_CHECK, "points")


def lost(passed: bool) -> Fits:
    """Return the comparison of (images left, passed in another class)."""

    def fits(figures: Figures, seen: Seen) -> bool:
        count, passing = int(figures[0]), int(figures[1])
        chance = at_least(passing, count, option_of("silent_success", "lost"))
        return passing <= count <= seen.correct + TIES and (chance >= LEVEL) is passed

    return fits
