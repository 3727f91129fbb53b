"""Figures of a comparison of boards as text, the same in the console, on a page and in LaTeX."""

import math
from dataclasses import dataclass
from typing import Any

from robench.leaderboard.across.differences import Differences
from robench.leaderboard.page.wording import percent

MINUS = "\N{MINUS SIGN}"
MARK = "*"
"""Stands behind a difference that is distinguishable from none."""

UNRANKED = "There are no mean ranks: fewer than two rows have figures on all boards."


@dataclass(frozen=True)
class Change:
    """A figure on both boards: ``31.2 → 33.4``, the difference in points, and its interval."""

    both: str
    difference: str
    interval: str
    clear: bool


def changes(pair: Differences) -> list[tuple[str, list[Change | None]]]:
    """Return the rows of two boards, each with a change for every column; None without figures."""
    found: dict[str, dict[str, Change]] = {}
    for line in pair.figures.to_dict("records"):
        found.setdefault(str(line["defense"]), {})[str(line["column"])] = _change(line)
    return [(title, [own.get(column) for column in pair.columns]) for title, own in found.items()]


def left_out(pair: Differences) -> list[str]:
    """Return what of two boards could not be compared, one sentence each."""
    first, second = pair.labels
    sentences = [
        f"{column} is not compared: {one} in {first}, {two} in {second}."
        for column, (one, two) in pair.other.items()
    ]
    for kind, (one, two) in (("row", pair.rows_of_one), ("column", pair.columns_of_one)):
        for label, names in ((first, one), (second, two)):
            if names:
                plural = "" if len(names) == 1 else "s"
                sentences.append(f"Only {label} has the {kind}{plural} {'; '.join(names)}.")
    return sentences


def points(share: float) -> str:
    """Return a difference of two accuracies in percentage points, with its sign."""
    text = percent(abs(share))
    return text if float(text) == 0 else f"{MINUS if share < 0 else '+'}{text}"


def tau_text(tau: float) -> str:
    """Return Kendall's tau to two decimals; a dash where it has none."""
    return "-" if math.isnan(tau) else f"{tau:.2f}".replace("-", MINUS)


def _change(line: dict[Any, Any]) -> Change:
    return Change(
        both=f"{percent(line['first'])} → {percent(line['second'])}",
        difference=points(line["difference"]) + (MARK if line["distinguishable"] else ""),
        interval=f"{points(line['low'])} to {points(line['high'])}",
        clear=bool(line["distinguishable"]),
    )
