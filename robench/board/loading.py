"""Reading boards: TOML files, one of which may extend another."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from robench.board.board import Board
from robench.board.plan import resolve_rows
from robench.board.specs import explain, worst
from robench.errors import UserError, did_you_mean
from robench.system.files import is_file

WHOLE = ("figures", "defaults")
"""Tables that are replaced as a whole: what is in them belongs together."""


@dataclass(frozen=True)
class _File:
    """What one board's file says by itself.

    Attributes:
        path: of the file.
        text: of the file.
        values: its tables, without those of the board that it extends.
    """

    path: Path
    text: str
    values: dict[str, Any]

    def place(self, location: tuple[int | str, ...]) -> str:
        """Return the file and the line of a key: where a reader has to look."""
        return f"{self.path}{line_of(self.text, location)}"


def shipped_boards() -> dict[str, Path]:
    """Return the boards that come with robench: name -> ``board.toml``."""
    root = Path(str(files("robench.boards")))
    return {path.parent.name: path for path in sorted(root.glob("*/board.toml"))}


def read_board(path: Path) -> Board:
    """Read a board from its TOML file.

    A board with ``extends = "OTHER"`` holds what it changes in another: the board of the folder
    ``OTHER`` beside its own, or of a path from there, or a shipped board of that name. Tables are
    merged key by key; all other values, lists among them, and a paper's figures as a whole,
    replace those of the other board.

    Raises:
        UserError: where the file is missing or not TOML, or a key, type or value is wrong, or
            boards extend one another in a circle; the sentence names the file, line and key.
    """
    chain = _chain(path)
    values: dict[str, Any] = {}
    for file in reversed(chain):
        values = merged(values, file.values)
    try:
        board = Board.model_validate(values)
    except ValidationError as error:
        place = worst(error)["loc"]
        guilty = next((file for file in chain if _holds(file.values, place)), chain[0])
        raise UserError(f"{guilty.place(place)}: {explain(error, Board)}") from None
    try:
        resolve_rows(board)
        board.check_paper()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return board


def _chain(path: Path) -> list[_File]:
    """Return the files of a board: its own, then that which it extends, and so on."""
    chain: list[_File] = []
    while True:
        text = _text(path)
        try:
            own = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{path} is not TOML: {error}.") from None
        other = own.pop("extends", None)
        chain.append(_File(path, text, own))
        if other is None:
            return chain
        path = _extended(chain[-1], other)
        if path.resolve() in [file.path.resolve() for file in chain]:
            circle = " extends ".join(str(file.path) for file in chain)
            raise UserError(f"boards extend one another in a circle: {circle} extends {path}.")


def _extended(file: _File, other: Any) -> Path:
    """Return the file that ``extends`` of a board's file means."""
    place = file.place(("extends",))
    if not isinstance(other, str):
        raise UserError(f"{place}: extends is no text; name a board.")
    # Beside the folder of this board is where its siblings are.
    home = file.path.resolve().parent
    beside = home.parent / other / "board.toml" if file.path.name == "board.toml" else home / other
    if is_file(beside):
        return beside
    boards = shipped_boards()
    if other in boards:
        return boards[other]
    raise UserError(
        f"{place}: extends = '{other}': there is no {beside}, and no such board comes with "
        f"robench; {did_you_mean(other, boards)}"
    )


def _holds(values: Any, location: tuple[int | str, ...]) -> bool:
    """Return whether a file's own tables have the key at ``location``, or the list it is in."""
    for part in location:
        if isinstance(values, list):
            return True  # lists are replaced as a whole: what is in one is of that file
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


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
