"""Compare the sentences of checks that were made again with the published ones."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from robench.leaderboard.rerun.comparing import FEWEST, MOST_DRAWN, Conditions
from robench.runs.records import FindingEntry

_FIGURE = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\w)(%?)")
_CHANCE = re.compile(r"\bp (?:=|<) [\d.e+-]+")
_PLURALS = re.compile(r"\b(image|leave|step|start|network)s\b")

_LOOSE = ("black_box", "transfer", "binarization", "inside_ball")
"""Checks with attacks of libraries or networks that are fitted first, or with sums over attacks."""


@dataclass(frozen=True)
class Wording:
    """Where sentences differ: what contradicts the published ones, and what cannot be compared."""

    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def compare_sentences(
    pairs: Iterable[tuple[FindingEntry, FindingEntry]], samples: int, conditions: Conditions
) -> Wording:
    """Compare sentences word for word if the devices compute the same, else their figures.

    Args:
        pairs: the published finding of each check and the one made here.
        samples: number of images of the checks.
        conditions: what both evaluations have in common.
    """
    exact = conditions.strict and conditions.bitwise
    problems, unchecked = [], []
    for there, now in pairs:
        if there.sentence == now.sentence:
            continue
        if not exact and _words(there.sentence) != _words(now.sentence):
            unchecked.append(f"the sentence of the check '{there.check}'; here: {now.sentence}")
        elif exact or not _are_near(there, now, samples, conditions):
            problems.append(f"the check '{there.check}' says here: {now.sentence}")
    return Wording(tuple(problems), tuple(unchecked))


def _words(sentence: str) -> str:
    """Return a sentence without its figures."""
    return _FIGURE.sub("#", _PLURALS.sub(r"\1", _CHANCE.sub("p", sentence)))


def _are_near(there: FindingEntry, now: FindingEntry, samples: int, conditions: Conditions) -> bool:
    """Return whether rounding explains the differences between figures of the same sentence."""
    share = max(conditions.share, MOST_DRAWN if there.check in _LOOSE else 0.0)
    points = 100 * max(share, FEWEST / max(samples, 1)) + 0.1  # they are rounded to 0.1
    figures = ([*_FIGURE.finditer(_CHANCE.sub("p", f.sentence))] for f in (there, now))
    for one, other in zip(*figures, strict=True):
        a, b = (float(figure[0].rstrip("%")) for figure in (one, other))
        if one[1]:
            tolerance = points
        else:
            least = FEWEST if one[0].isdecimal() else 0.0
            tolerance = max(least, share * max(a, b))
        if abs(a - b) > tolerance:
            return False
    return True
