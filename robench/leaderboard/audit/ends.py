"""How an attack ends: what the figures of the checks that follow its steps may say."""

from robench.checks.significance import LEVEL, at_least
from robench.leaderboard.audit.figures import (
    TIES,
    Figures,
    Fits,
    Seen,
    at_most_all,
    not_weaker,
    option_of,
)


def incomplete(figures: Figures, seen: Seen) -> bool:
    """Compare (moving, images, left by many steps, left by few, left by APGD): far apart.

    The last was not measured in reports of version 2.
    """
    moving, count, many, few = (float(figure) for figure in figures[:4])
    check = "incomplete_optimization"
    early = moving > option_of(check, "moving") * count
    early = early and few - many > 100 * option_of(check, "points") - 0.1
    far = any(few - float(f) > 100 * option_of(check, "far") - 0.1 for f in figures[4:])
    return moving <= count and (early or far)


def complete(figures: Figures, seen: Seen) -> bool:
    """Compare (moving, images, left by many steps, left by few, left by APGD): not far apart."""
    few, adapted = figures[3], figures[4]
    near = float(few) - float(adapted) <= 100 * option_of("incomplete_optimization", "far") + 0.1
    fits = near or not_weaker((few, str(seen.samples), adapted), seen)
    return at_most_all(figures, seen) and fits


def lost(passed: bool) -> Fits:
    """Return the comparison of (images left, passed in another class)."""

    def fits(figures: Figures, seen: Seen) -> bool:
        count, passing = int(figures[0]), int(figures[1])
        chance = at_least(passing, count, option_of("silent_success", "lost"))
        return passing <= count <= seen.correct + TIES and (chance >= LEVEL) is passed

    return fits
