"""The figures in the sentences of findings, held against what the other files say.

Each function compares the figures of one form of sentence, as text and in their order, with the
evidence, and returns whether both agree with what the finding says.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from robench.checks.gradient_free import MISSED
from robench.checks.report import VERSION
from robench.checks.significance import LEVEL, at_least, at_most
from robench.checks.wording import percent, radius
from robench.registry import checks
from robench.runs.records import CurvePoint, FindingEntry

Figures = tuple[str, ...]
"""The figures of a sentence, in their order."""

TIES = 1
"""Images on which the checks and the columns may differ: their two best classes are nearly tied."""


@dataclass(frozen=True)
class Seen:
    """What the other files say about the images of a report.

    Attributes:
        samples: number of images that the checks attacked.
        evaluated: number of images of the columns.
        correct: how many of the first ``samples`` images are right without an attack.
        left: how many of them no gradient-based attack of the ball among the columns fooled.
        columns: number of columns.
        norm: the norm of the checks' own attacks.
        eps: their radius.
        curve: accuracy by radius, as published.
        said: the findings of the report, by their checks.
        has_statistics: whether the network is known to keep running statistics.
        followed: the part of ``left`` among the images whose trajectories the checks follow.
        version: the version of the report.
    """

    samples: int
    evaluated: int
    correct: int
    left: int
    columns: int
    norm: str
    eps: float
    curve: tuple[CurvePoint, ...]
    said: Mapping[str, FindingEntry] = field(default_factory=dict)
    has_statistics: bool = False
    followed: int = 0
    version: int = VERSION


Fits = Callable[[Figures, Seen], bool]
"""Whether figures agree with what is known, and with what the finding says."""


def option_of(check: str, name: str) -> Any:
    """Return the default of an option of a check."""
    return getattr(checks.build(check), name)


def all_right(count: str, seen: Seen) -> bool:
    """Return whether so many images are right without an attack in the outcomes, too."""
    return abs(int(count) - seen.correct) <= TIES


def falls(figures: Figures, seen: Seen) -> bool:
    """Compare the list of a falling curve: ``97.7% clean, 90.1% at Linf 0.1, ...``."""
    first, *points = seen.curve
    listed = ", ".join(f"{percent(p.accuracy)} at {radius(seen.norm, p.eps)}" for p in points[:-1])
    return figures[0] == f"{percent(first.accuracy)} clean, {listed}"


def rises(figures: Figures, seen: Seen) -> bool:
    """Compare (weak, radius, strong, larger radius): two neighbors of the curve."""
    weak, at, strong, larger = figures
    points = [(percent(p.accuracy)[:-1], radius(seen.norm, p.eps)) for p in seen.curve[1:]]
    pairs = itertools.pairwise(points)
    return ((weak, at), (strong, larger)) in pairs and float(strong) > float(weak)


def reaches(passed: bool) -> Fits:
    """Return the comparison of (radius, left, asked[, share of guessing]) in the largest ball."""

    def fits(figures: Figures, seen: Seen) -> bool:
        at, left, asked, *share = figures
        known = [at == radius(seen.norm, seen.curve[-1].eps), all_right(asked, seen)]
        known.append(int(left) == round(seen.curve[-1].accuracy * seen.samples))
        if not share:
            return all(known) and int(left) == 0
        low, high = (max(float(share[0]) + end, 0) / 100 for end in (-0.06, 0.06))  # as rounded
        chances = [at_least(int(left), int(asked), p) for p in (low, min(high, 1.0))]
        return all(known) and int(left) > 0 and any((p >= LEVEL) is passed for p in chances)

    return fits


def one_answer(figures: Figures, seen: Seen) -> bool:
    """Compare (radius, left, asked, share of guessing, images) in the largest ball."""
    *reached, images = figures
    chance = at_least(int(figures[1]), seen.samples, min(float(figures[3]) / 100 + 6e-4, 1.0))
    return reaches(False)(tuple(reached), seen) and int(images) == seen.samples and chance >= LEVEL


def weaker(figures: Figures, seen: Seen) -> bool:
    """Compare (strong, images, weak, only by weak, only by strong): significantly weaker."""
    strong, count, weak, only_weak, only_strong = map(float, figures)
    gap = (strong - weak) / 100 * count
    chance = at_least(int(only_weak), int(only_weak + only_strong), 0.5)
    exact = abs(only_weak - only_strong - gap) <= 1e-3 * count + 0.01
    return chance < LEVEL and exact and count <= seen.evaluated


def not_weaker(figures: Figures, seen: Seen) -> bool:
    """Compare (strong, images, weak): some pairs of outcomes must make it no worse than chance."""
    strong, count, weak = map(float, figures)
    more, both = int((strong - weak) / 100 * count), int(weak / 100 * count) + 1
    if more <= 0:
        return count <= seen.evaluated
    # The largest chance: all that the weaker attack left were fooled by the stronger alone.
    chance = at_least(more + both, more + 2 * both, 0.5) * (1 + seen.columns**2)
    return chance >= LEVEL and count <= seen.evaluated


def far_apart(one: str, other: str, points: float) -> bool:
    """Return whether an accuracy may exceed another by more points, as far as they were rounded."""
    return float(one) - float(other) > 100 * points - 0.1


def close(figures: Figures, points: float, seen: Seen) -> bool:
    """Compare (one, images, the other): close, or some pairs of outcomes make it chance."""
    near = float(figures[0]) - float(figures[2]) <= 100 * points + 0.1
    return (near and int(figures[1]) <= seen.evaluated) or not_weaker(figures, seen)


def losses_differ(figures: Figures, seen: Seen) -> bool:
    """Compare (one loss, images, the other, only by that, only by the first): far apart."""
    far = far_apart(figures[0], figures[2], option_of("other_loss", "points"))
    return far and weaker(figures, seen)


def losses_alike(figures: Figures, seen: Seen) -> bool:
    """Compare (one loss, images, the other), see :func:`close`."""
    return close(figures, option_of("other_loss", "points"), seen)


def luck(passed: bool) -> Fits:
    """Return the comparison of (fooled, left, radius) of an attack without gradients."""

    def fits(figures: Figures, seen: Seen) -> bool:
        found, left, at = int(figures[0]), int(figures[1]), figures[2]
        possible = found <= left <= seen.left + TIES and at == radius(seen.norm, seen.eps)
        return possible and (at_least(found, left, MISSED) >= LEVEL) is passed

    return fits


def share(passed: bool) -> Fits:
    """Return the comparison of (bad, images, share) of gradients that are no use."""

    def fits(figures: Figures, seen: Seen) -> bool:
        bad, count, share = int(figures[0]), int(figures[1]), figures[2]
        if not count or not all_right(figures[1], seen) or percent(bad / count)[:-1] != share:
            return False
        return (bad / count <= option_of("gradients", "tolerated")) is passed

    return fits


def climbs(passed: bool) -> Fits:
    """Return the comparison of (risen, images) of losses along a trajectory."""

    def fits(figures: Figures, seen: Seen) -> bool:
        rose, count = int(figures[0]), int(figures[1])
        chance = at_most(rose, count, option_of("loss_rises", "rising")) if rose <= count else 0
        return rose <= count and all_right(figures[1], seen) and (chance >= LEVEL) is passed

    return fits


def gap(passed: bool) -> Fits:
    """Return the comparison of (running, images, batch): accuracies by their statistics."""

    def fits(figures: Figures, seen: Seen) -> bool:
        one, count, other = float(figures[0]), int(figures[1]), float(figures[2])
        right = round(one / 100 * count)
        gap = abs(one - other) / 100
        if count != seen.samples or abs(right - seen.correct) > TIES:
            return False
        if not passed:
            return gap > option_of("train_eval_gap", "gap") - 1e-3
        apart = int(gap * count)
        chance = 2 * at_least((count + apart) // 2, count, 0.5)  # the largest that there can be
        return gap <= option_of("train_eval_gap", "gap") + 1e-3 or chance >= LEVEL

    return fits


def planted(passed: bool) -> Fits:
    """Return the comparison of (found, fitted) of planted adversarial images."""

    def fits(figures: Figures, seen: Seen) -> bool:
        found, fitted = int(figures[0]), int(figures[1])
        needed = option_of("binarization", "needed")
        return found <= fitted and (at_most(found, fitted, needed) >= LEVEL) is passed

    return fits


def at_most_all(figures: Figures, seen: Seen) -> bool:
    """Compare (some, all, ...): a part of the images or classes."""
    return int(figures[0]) <= int(figures[1])


def _is_share(some: str, count: str, share: str) -> bool:
    return int(some) <= int(count) > 0 and percent(int(some) / int(count))[:-1] == share


def more_than_tolerated(check: str, passed: bool, option: str = "tolerated") -> Fits:
    """Return the comparison of (bad, images, share) with the share that a check tolerates."""

    def fits(figures: Figures, seen: Seen) -> bool:
        bad, count = int(figures[0]), int(figures[1])
        if count > seen.correct + TIES or not _is_share(*figures[:3]):
            return False
        return (at_least(bad, count, option_of(check, option)) >= LEVEL) is passed

    return fits


def few_sure(figures: Figures, seen: Seen) -> bool:
    """Compare (sure, images, share): so few that nothing else was asked."""
    sure, count = int(figures[0]), int(figures[1])
    few = sure <= option_of("saturated_probability", "tolerated") * count
    return few and all_right(figures[1], seen) and _is_share(*figures)


def sure(passed: bool) -> Fits:
    """Return the comparison of (sure, images, share, left by the one loss, left by the other)."""

    def fits(figures: Figures, seen: Seen) -> bool:
        many, count, entropy, margin = (int(figures[i]) for i in (0, 1, 3, 4))
        known = all_right(figures[1], seen) and _is_share(*figures[:3])
        few = option_of("saturated_probability", "tolerated") * count
        possible = max(entropy, margin) <= many > few
        return known and possible and (passed or entropy - margin > few)

    return fits


def probabilities(passed: bool) -> Fits:
    """Return the comparison of (images with probabilities, images, share)."""

    def fits(figures: Figures, seen: Seen) -> bool:
        if int(figures[1]) != seen.samples or not _is_share(*figures):
            return False
        share = int(figures[0]) / int(figures[1])
        return (share < option_of("probability_outputs", "share")) is passed

    return fits


def probabilities_of_each(figures: Figures, seen: Seen) -> bool:
    """Compare (images with outputs from 0 to 1, images, share, images with both ends)."""
    inside, count, wide = (int(figures[i]) for i in (0, 1, 3))
    return probabilities(False)(figures[:3], seen) and count < 2 * wide <= 2 * inside


def turned(passed: bool) -> Fits:
    """Return the comparison of (median cosine, images)."""

    def fits(figures: Figures, seen: Seen) -> bool:
        apart = float(figures[0]) - option_of("unstable_gradient", "least")
        return int(figures[1]) <= seen.correct + TIES and (apart if passed else -apart) >= -0.006

    return fits


def turned_on(passed: bool) -> Fits:
    """Return the comparison of (median cosine, images, images below the least cosine)."""
    median = turned(False)

    def fits(figures: Figures, seen: Seen) -> bool:
        count, below = int(figures[1]), int(figures[2])
        chance = at_least(below, count, 0.5)
        return median(figures, seen) and 2 * below >= count and (chance >= LEVEL) is passed

    return fits
