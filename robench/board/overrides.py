"""Command-line overrides of a board: which board, which rows, which seeds, which values."""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

from pydantic import ValidationError

from robench.board.board import Board
from robench.board.explain import explain
from robench.board.limits import LONGEST_TITLE
from robench.board.loading import read_board
from robench.board.plan import resolve_rows
from robench.board.shipped import all_shipped_boards
from robench.board.specs import Spec
from robench.entries import missing_package
from robench.errors import UserError, did_you_mean, shortened
from robench.expressions import split_titles
from robench.registry import defenses
from robench.system.files import is_file
from robench.system.toml_files import parse_toml

TAKEN = ("cells", "logs")
"""Folders in which a run keeps its networks and its logs, beside those of its boards."""

Seeds = str | int | Sequence[int]
"""Seeds of a board: text such as ``0,1,2``, or numbers."""


def find_board(name: str) -> tuple[str, Path]:
    """Return a board's name and file.

    Args:
        name: the name of a shipped board, a folder with a ``board.toml``, or a TOML file.

    Raises:
        UserError: if no such board is found; the message names the nearest ones. Or if its
            results could not be in a folder of its name.
    """
    path = Path(name)
    if is_file(path):
        named = path.parent.resolve().name if path.name == "board.toml" else path.stem
        return _folder_name(named, path), path
    if is_file(path / "board.toml"):
        return _folder_name(path.resolve().name, path), path / "board.toml"
    boards = all_shipped_boards()
    if name not in boards:
        if os.path.lexists(path):
            what = "a folder without a board.toml" if path.is_dir() else "not a plain file"
            raise UserError(f"{name} is {what}; name the TOML file of a board, or its folder.")
        raise UserError(
            f"no board '{name}' found: no such file, no such folder with a board.toml; "
            f"{did_you_mean(name, boards)}"
        )
    return name, boards[name]


def _folder_name(name: str, path: Path) -> str:
    """Return the name of a board, which is that of the folder in which it is published.

    Raises:
        UserError: if there can be no folder of that name beside the results.
    """
    if name in ("", ".", "..", *TAKEN):
        raise UserError(
            f"{path}: a board cannot be named '{name}', since its results would be in a folder of "
            f"that name; rename the file, or its folder if it is a board.toml."
        )
    return name


def open_board(
    name: str,
    *,
    rows: str | Sequence[str] | None = None,
    seeds: Seeds | None = None,
    changes: Sequence[str] = (),
) -> tuple[str, Board]:
    """Read a board and apply the changes of the command line.

    Args:
        name: see :func:`find_board`.
        rows: defenses or labels of ``arms``, text separated by commas or several, that replace the
            board's rows, third-party networks included; ``all`` is every registered defense whose
            package is installed.
        seeds: seeds that replace the board's: text, separated by commas, or numbers.
        changes: ``table.key=value`` with a TOML value, e.g. ``training.epochs=2``.

    Returns:
        The board's short name and the board. With other rows, values or fewer seeds than the board
        has, it is another board, with a name and a title that say so: its results are not those of
        the full board, whose folder they must not take.

    Raises:
        UserError: see :func:`find_board` and :func:`robench.board.board.read_board`.
    """
    short, path = find_board(name)
    board = read_board(path)
    values = board.model_dump()
    chosen = None if rows is None else _as_text(rows)
    if chosen is not None:
        values |= _rows(board, chosen)
    typed = None if seeds is None else _as_text(seeds)
    change_values(values, typed, changes)
    changed = _validated(values)
    resolve_rows(changed)
    if changes:
        changed.check_paper(board.titles)
    if _is_whole(changed, board):
        return short, changed
    return renamed(short, board, changed, words_of(chosen, typed, changes))


def with_rows(short: str, board: Board, titles: Sequence[str]) -> tuple[str, Board]:
    """Return the name of a board with some of its trained rows, and that board.

    Args:
        short: the name of the board.
        board: the board.
        titles: those of the rows; a third-party network is left out.

    Raises:
        UserError: if there can be no such board.
    """
    rows = ",".join(title for title in titles if title not in board.external)
    changed = _validated(board.model_dump() | _rows(board, rows))
    return renamed(short, board, changed, words_of(rows, None, ()))


def _validated(values: dict[str, Any]) -> Board:
    try:
        return Board.model_validate(values)
    except ValidationError as error:
        raise UserError(f"the board with the requested changes: {explain(error, Board)}") from None


Named = TypeVar("Named", bound=Spec)


def renamed(short: str, board: Named, changed: Named, words: str) -> tuple[str, Named]:
    """Return the name of a changed board, and the board with title and description that say so.

    Args:
        short: the name of the board.
        board: the board, which has a title and a description.
        changed: the board with the changes.
        words: the changes, see :func:`words_of`.
    """
    title = f"{getattr(board, 'title', '')}, changed: {words}"
    said = {"title": shorten(title, LONGEST_TITLE, placeholder=" ..."),
            "description": f"The board '{short}' with {words}."}  # fmt: skip
    kept = {key: value for key, value in said.items()
            if getattr(changed, key) == getattr(board, key)}  # fmt: skip
    digest = hashlib.sha256(changed.model_dump_json(exclude_defaults=True).encode()).hexdigest()
    original = re.sub(r"-changed-[0-9a-f]{6}$", "", short)
    return f"{original}-changed-{digest[:6]}", changed.model_copy(update=kept)


def change_values(values: dict[str, Any], seeds: str | None, changes: Sequence[str]) -> None:
    """Change the values of a board in place, as the command line asks.

    Args:
        values: the tables of the board.
        seeds: see :func:`open_board`.
        changes: likewise.

    Raises:
        UserError: if a seed or a change cannot be read, or there is no such table.
    """
    if seeds is not None:
        values["seeds"] = [_seed(seed) for seed in seeds.split(",")]
    for change in changes:
        _change(values, change)


def _is_whole(changed: Board, board: Board) -> bool:
    """Return whether a board has all of the original: the same rows and settings, and its seeds."""
    same = changed.model_copy(update={"seeds": board.seeds}) == board
    return same and set(changed.seeds) >= set(board.seeds)


def words_of(rows: str | None, seeds: str | None, changes: Sequence[str]) -> str:
    """Return the changes, as they are typed on the command line."""
    words = [f"--defenses {rows}"] if rows is not None else []
    words += [f"--seeds {seeds}"] if seeds is not None else []
    return " ".join([*words, *(f"--set {change}" for change in changes)])


def _rows(board: Board, text: str) -> dict[str, Any]:
    labeled = {row.title: row for row in board.arms}
    wanted = _installed() if text == "all" else split_titles(text, [*labeled, *board.external])
    if strange := [name for name in wanted if name in board.external]:
        raise UserError(
            f"--defenses: the row '{shortened(strange[0])}' is a third-party network, which is "
            f"evaluated and not trained; leave it out, and add it with 'robench submit --model'."
        )
    chosen = [name for name in wanted if name not in labeled]
    kept = [labeled[name] for name in wanted if name in labeled]
    baseline = board.baseline if board.baseline in wanted else ""
    return {"defenses": chosen, "arms": kept, "external": (), "baseline": baseline}


def _installed() -> list[str]:
    return [name for name in defenses if not missing_package(defenses.get(name))]


def _as_text(values: Seeds | Sequence[str]) -> str:
    """Return rows or seeds as they are typed on the command line."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return str(values)
    return ",".join(map(str, values))


def _seed(text: str) -> int:
    if not text.strip().isdecimal():
        raise UserError(
            f"seeds: '{shortened(text)}' is not a seed; write whole numbers such as 0,1,2."
        )
    return int(text)


def _change(values: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    if not equals:
        raise UserError(f"--set '{change}': write table.key=value, e.g. training.epochs=2.")
    try:
        value = parse_toml(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()  # a bare word is a string: nobody types quotes inside quotes
    *tables, key = path.strip().split(".")
    inner = values
    for table in tables:
        if table in inner and inner[table] is None:
            raise UserError(f"--set '{change}': the board has no table [{table}]; write it into "
                            f"the board's file.")  # fmt: skip
        if isinstance(inner.get(table), (list, tuple)):
            raise UserError(f"--set '{change}': '{table}' is a list; set all of it, or change it "
                            f"in the board's file.")  # fmt: skip
        if not isinstance(inner.get(table), dict):
            raise UserError(f"--set '{change}': {did_you_mean(table, inner)}")
        inner = inner[table]
    inner[key] = value
