"""Formatting of numbers on the page."""

import math

from robench.base import ThreatModel
from robench.expressions import radius_text

MISSING, RANGE, TIMES = "\N{EN DASH}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
"""The placeholder of a missing figure, the sign between two ends, and the sign after a ratio."""


def percent(fraction: float | None) -> str:
    """Return a fraction in percent to one decimal, without the sign: 0.281 -> "28.1"."""
    return MISSING if _missing(fraction) else f"{100 * float(fraction or 0):.1f}"


def interval(low: float, high: float) -> str:
    """Return two fractions as an interval in percent, joined by an en dash."""
    return MISSING if _missing(low) or _missing(high) else percent(low) + RANGE + percent(high)


def threat_model_text(threat_model: ThreatModel | None) -> str:
    """Return a threat model as text: "Linf 8/255"; "" for None."""
    if threat_model is None:
        return ""
    norm, eps = threat_model
    return f"{norm.capitalize()} {radius_text(eps)}"


def sort_key(value: float) -> str:
    """Return what the page's script sorts a figure by: "" for a missing one, which comes last."""
    return "" if _missing(value) else repr(float(value))


def times(factor: float) -> str:
    """Return a ratio to two decimals, with a multiplication sign."""
    return MISSING if _missing(factor) else f"{factor:.2f}{TIMES}"


def listed(words: list[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
