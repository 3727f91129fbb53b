"""Reading boards: TOML files, one of which may extend another."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from robench.board import Board
from robench.errors import UserError
from robench.files import is_file
from robench.specs import explain, worst

DEEPEST = 4
"""Boards that extend boards that extend boards: more is a circle, or cannot be read."""

WHOLE = ("figures", "defaults")
"""Tables that are replaced as a whole: what is in them belongs together."""


def read_board(path: Path) -> Board:
    """Read a board from its TOML file.

    A board with ``extends = "OTHER"`` holds what it changes in another: the board of the folder
    ``OTHER`` beside its own, or of a path from there. Tables are merged key by key; all other
    values, lists among them, and a paper's figures as a whole, replace those of the other board.

    Raises:
        UserError: where the file is missing or not TOML, or a key, type or value is wrong;
            the sentence names the line and the key.
    """
    text = _text(path)
    try:
        board = Board.model_validate(_values(path, text, DEEPEST))
    except ValidationError as error:
        line = line_of(text, worst(error)["loc"])
        raise UserError(f"{path}{line}: {explain(error, Board)}") from None
    try:
        board.rows()
        if board.paper is not None:
            board.paper.check(board.titles, board.evaluation.columns)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return board


def _values(path: Path, text: str, deeper: int) -> dict[str, Any]:
    """Return what a board's file says, with that which it extends."""
    try:
        own = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}.") from None
    other = own.pop("extends", None)
    if other is None:
        return own
    if not isinstance(other, str):
        raise UserError(f"{path}{line_of(text, ('extends',))}: extends is no text; name a board.")
    if not deeper:
        raise UserError(f"{path}: too many boards extend one another; at most {DEEPEST} may.")
    # Beside the folder of this board is where its siblings are.
    home = path.resolve().parent
    parent = home.parent / other / "board.toml" if path.name == "board.toml" else home / other
    if not is_file(parent):
        raise UserError(
            f"{path}{line_of(text, ('extends',))}: extends = '{other}': there is no {parent}."
        )
    return merged(_values(parent, _text(parent), deeper - 1), own)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes``: tables key by key, all else replaced."""
    result = dict(base)
    for key, value in changes.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and key not in WHOLE:
            value = merged(before, value)
        result[key] = value
    return result


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read the board {path}: {reason}.") from error


def line_of(text: str, location: tuple[int | str, ...]) -> str:
    """Return ", line N" for the key at ``location`` in a TOML text, or "" if it is not found."""
    names = [part for part in location if isinstance(part, str)]
    for depth in range(len(names), 0, -1):
        table: list[str] = []
        for count, line in enumerate(text.splitlines(), start=1):
            bare = line.split("#", 1)[0].strip()
            if bare.startswith("["):
                table = [name.strip() for name in bare.strip("[]").split(".")]
                path = table
            else:
                path = [*table, *(part.strip() for part in bare.split("=", 1)[0].split("."))]
            if path == names[:depth]:
                return f", line {count}"
    return ""
