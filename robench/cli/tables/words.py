"""Figures and text as Rich shows them."""

import math


def figure(value: float, form: str) -> str:
    """Return a figure by its format, or a dash where there is none."""
    return "-" if math.isnan(value) else form.format(value)


def plain(text: str) -> str:
    """Return text that Rich does not read as markup."""
    return text.replace("[", "\\[")
