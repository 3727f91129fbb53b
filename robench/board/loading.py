"""Read boards from TOML files, each of which may extend another."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from robench.board.board import Board
from robench.board.explain import explain, worst
from robench.board.plan import resolve_rows
from robench.board.shipped import all_shipped_boards
from robench.board.specs import Spec
from robench.errors import UserError, did_you_mean, shortened
from robench.registry import attacks
from robench.system.files import is_file
from robench.system.reading import DOCUMENT_BYTES, Refused, read_text
from robench.system.toml_files import parse_toml

Form = TypeVar("Form", bound=Spec)

GANS = "gan"
"""The table that a board of GANs has and a board of classifiers has not."""

WHOLE = ("figures", "defaults", "accuracy")
"""Tables that are replaced as a whole, because their entries belong together."""


@dataclass(frozen=True)
class _File:
    """The contents of one board file, without the board that it extends.

    Attributes:
        path: the path of the file.
        text: the text of the file.
        values: the tables of the file.
    """

    path: Path
    text: str
    values: dict[str, Any]

    def locate(self, key: tuple[int | str, ...]) -> str:
        """Return the file and the line of a key, for error messages."""
        return f"{self.path}{line_of(self.text, key)}"


def read_board(path: Path) -> Board:
    """Read a board from its TOML file.

    A board with ``extends = "OTHER"`` lists only its changes to another board: the one in the
    folder ``OTHER`` next to its own folder, or at a path relative to there, or the shipped board
    of that name. Tables are merged key by key; all other values, including lists, and a paper's
    figures as a whole, replace those of the other board.

    Raises:
        UserError: if the file is missing or not TOML, a key, type or value is wrong, or boards
            extend each other in a cycle; the message names the file, line and key. Or if it is a
            board of GANs.
    """
    if is_gan_board(path):
        raise UserError(
            f"{path} is a board of GANs, since it has a table [{GANS}]; 'robench run', 'status', "
            f"'verify' and 'page' take it, and this command does not."
        )
    board = read_form(path, Board)
    try:
        resolve_rows(board)
        board.check_paper()
        for call in board.evaluation.attacks:
            if ":" not in call:  # of a library, which would have to be imported
                attacks.lookup(call)
    except UserError as error:
        raise UserError(f"{_place_of(path, str(error))}: {error}") from None
    return board


def _place_of(path: Path, message: str) -> str:
    """Return the file, of a board or of one that it extends, and the line that a message is about.

    It is the only line with what the message quotes, before it names what may be meant; without
    one, there is only the board's file.
    """
    files, (wrong, _, _) = _chain(path), message.partition(";")
    for said in re.findall(r"'([^']+)'", wrong):
        quoted = re.compile(rf"['\"]{re.escape(said)}")
        for file in files:
            lines = enumerate(file.text.splitlines(), start=1)
            found = [number for number, line in lines if quoted.search(line)]
            if len(found) == 1:
                return f"{file.path}, line {found[0]}"
            if found:
                return str(path)
    return str(path)


def is_gan_board(path: Path) -> bool:
    """Return whether a file is a board of GANs: it, or one that it extends, has a table ``[gan]``.

    Raises:
        UserError: as :func:`read_board`, if it cannot be read.
    """
    return any(GANS in file.values for file in _chain(path))


def read_form(path: Path, form: type[Form]) -> Form:
    """Read the file of a board, and those that it extends, as a specification of some form.

    Raises:
        UserError: as :func:`read_board`.
    """
    chain = _chain(path)
    values: dict[str, Any] = {}
    for file in reversed(chain):
        values = merged(values, file.values)
    try:
        return form.model_validate(values)
    except ValidationError as error:
        key = worst(error)["loc"]
        source = next((file for file in chain if _holds(file.values, key)), chain[0])
        raise UserError(f"{source.locate(key)}: {explain(error, form)}") from None


def _chain(path: Path) -> list[_File]:
    """Return the files of a board: its own, then the one that it extends, and so on."""
    chain: list[_File] = []
    while True:
        text = _text(path)
        try:
            own = parse_toml(text)
        except ValueError as error:
            raise UserError(f"{path} is not TOML: {error}.") from None
        other = own.pop("extends", None)
        chain.append(_File(path, text, own))
        if other is None:
            return chain
        path = _extended(chain[-1], other)
        if path.resolve() in [file.path.resolve() for file in chain]:
            cycle = " extends ".join(str(file.path) for file in chain)
            raise UserError(f"boards extend each other in a cycle: {cycle} extends {path}.")


def _extended(file: _File, other: Any) -> Path:
    """Return the file of the board that the ``extends`` of a board file names."""
    line = file.locate(("extends",))
    if not isinstance(other, str):
        raise UserError(f"{line}: extends must be a string: the name of a board.")
    # Sibling boards are in folders next to the folder of this one.
    home = file.path.resolve().parent
    sibling = home.parent / other / "board.toml" if file.path.name == "board.toml" else home / other
    if is_file(sibling):
        return sibling
    boards = all_shipped_boards()
    if other in boards:
        return boards[other]
    raise UserError(
        f"{line}: extends = '{shortened(other)}': there is no file {shortened(sibling, 300)}, and "
        f"no such board ships with robench; {did_you_mean(other, boards)}"
    )


def _holds(values: Any, location: tuple[int | str, ...]) -> bool:
    """Return whether a file's own tables have the key at ``location``, or the list it is in."""
    for part in location:
        if isinstance(values, list):
            return True  # lists are replaced as a whole, so all of a list is from that file
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes``: tables are merged key by key, all else is replaced."""
    result = dict(base)
    for key, value in changes.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and key not in WHOLE:
            value = merged(before, value)
        result[key] = value
    return result


def _text(path: Path) -> str:
    try:
        return read_text(path, longest=DOCUMENT_BYTES)
    except Refused as error:
        raise UserError(f"cannot read the board {path}: {error.reason}.") from error


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
