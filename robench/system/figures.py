"""Saving figures reproducibly: the same figure gives the same file.

matplotlib is imported when the first figure is drawn: most processes of a run draw none.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from robench.system.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches, whose parts will not overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


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
