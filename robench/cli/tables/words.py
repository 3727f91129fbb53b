"""Format figures and text for Rich."""

import math


def figure(value: float, form: str) -> str:
    """Format a figure; NaN becomes a dash."""
    return "-" if math.isnan(value) else form.format(value)


def plain(text: str) -> str:
    """Escape text so that Rich does not read it as markup."""
    return text.replace("[", "\\[")
