"""Format figures and text for Rich."""

import math
from collections.abc import Sequence

from rich.markup import escape


def figure(value: float, form: str) -> str:
    """Format a figure; NaN becomes a dash."""
    return "-" if math.isnan(value) else form.format(value)


def plain(text: str) -> str:
    """Escape text so that Rich does not read it as markup."""
    return escape(text)


def on_trust(what: Sequence[str], where: str = "") -> str:
    """Return what a verification takes on trust, as a sentence."""
    return f"taken on trust{where}: {'; '.join(what)}."
