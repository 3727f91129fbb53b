"""Saving figures reproducibly: the same figure gives the same file."""

import io
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from robench.system.files import write_bytes


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a file; its suffix (``.svg``, ``.png`` or ``.pdf``) sets the format.

    The file contains no date and no random identifiers, so the same data give the same bytes.
    """
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "robench"}):
        figure.savefig(
            buffer, format=path.suffix.lstrip("."), metadata=undated.get(path.suffix, {})
        )
    write_bytes(path, buffer.getvalue())
