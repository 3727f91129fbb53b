"""The time left, in words."""

import math


def time_left(seconds: float) -> str:
    """Return the time left as the end of a line; empty if it is unknown or nothing is left."""
    if not math.isfinite(seconds) or seconds < 1:
        return ""
    if seconds < 90:
        return f" (about {seconds:.0f} s left)"
    minutes = seconds / 60
    return (
        f" (about {minutes:.0f} min left)"
        if minutes < 90
        else f" (about {minutes / 60:.1f} h left)"
    )
