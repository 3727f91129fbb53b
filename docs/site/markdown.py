"""Small pieces of Markdown."""

import re
from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell is Markdown without line breaks, and without | but in code."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """Return code, or nothing for nothing."""
    return f"`{text}`" if text else ""


def plain(text: str) -> str:
    """Return text whose characters mean nothing to Markdown, nor to a table."""
    entities = str.maketrans({"<": "&lt;", ">": "&gt;", "|": "&#124;"})
    return re.sub(r"([*\[\]])", r"\\\1", text).translate(entities)


def prose(text: str) -> str:
    """Return a docstring's text: roles and double backticks become code."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return re.sub(r"``([^`]*)``", r"`\1`", text)


def one_line(text: str) -> str:
    """Return a text as one line."""
    return " ".join(text.split())
