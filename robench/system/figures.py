"""Saving figures reproducibly: the same figure gives the same file.

matplotlib is imported when the first figure is drawn: most processes of a run draw none.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from robench.system.files import write_bytes

LEGEND_LETTERS = 34
"""Letters of a title in a legend; with more of them, legends would leave no room for the plots."""

CURVES = 10
"""Curves that one picture can have; more could not be distinguished by their colors."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches, whose parts will not overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def legend_name(title: str) -> str:
    """Return a title of a user's own for a legend: plain, and cut in the middle if it is long.

    Its beginning and its end are kept, as titles often differ in what they end with.
    """
    half = LEGEND_LETTERS // 2
    short = title if len(title) <= LEGEND_LETTERS else f"{title[:half]}…{title[1 - half :]}"
    return plain_text(short)


def plain_text(text: str) -> str:
    """Return a title of a user's own as matplotlib shows it, and not as math or as hidden.

    It takes what is between two $ for math, and leaves labels that begin with _ out of legends.
    """
    escaped = text.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure to a file; its suffix (``.svg``, ``.png`` or ``.pdf``) sets the format.

    The file contains no date and no random identifiers, so the same data give the same bytes.
    """
    from matplotlib import rc_context

    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "robench"}):
        figure.savefig(
            buffer, format=path.suffix.lstrip("."), metadata=undated.get(path.suffix, {})
        )
    write_bytes(path, buffer.getvalue())
