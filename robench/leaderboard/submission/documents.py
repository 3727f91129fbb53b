"""Validate the JSON files of a submission before anything is built from them."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robench.board.cells import ExternalCell
from robench.errors import UserError
from robench.leaderboard.evidence import BOARD
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import limits
from robench.leaderboard.submission.limits import check_name, check_text, shown
from robench.system.json_files import parse_json
from robench.system.reading import Refused, read_bytes

_HUB_DATA = re.compile(r"^hf:[\w.-]{1,100}/[\w.-]{1,100}(@[\w./-]{1,200})?")
"""A data set of the hub, whose name has a slash as a repository has."""


def check_document(path: Path, name: str) -> None:
    """Check the form of a JSON file and every text in it.

    Args:
        path: the path of the file; its size has been checked.
        name: its path relative to the submission's folder.

    Raises:
        UserError: if it is nested too deeply, is not JSON, repeats a key, or has a number that is
            not finite or text that should not be shown.
    """
    try:
        value = parse_json(read_bytes(path, longest=limits.JSON_BYTES))
    except Refused as error:
        raise UserError(f"cannot read {shown(name)}: {error.reason}.") from error
    except ValueError as error:
        raise UserError(f"{shown(name)} is not JSON as robench writes it ({error}).") from None
    for text in _texts(value):
        check_text(text, f"the text {shown(text)} in {shown(name)}")


def check_contents(board: Leaderboard) -> None:
    """Check the names and numbers of a submission that was read.

    Raises:
        UserError: if a name should not be shown or a number is impossible; names the first.
    """
    heading = board.board.title
    # Headings may contain "Linf 8/255", since they do not name files.
    check_name(heading, f"the board's title in {BOARD} {shown(heading)}", limits.HEADING, "<>\\")
    check_text(board.board.authors, f"the board's authors in {BOARD}", limits.HEADING)
    for name, what in _names(board):
        check_name(name, f"{what} {shown(name)}")
    for name, what in _data_names(board):
        check_name(_HUB_DATA.sub("hf", name), f"{what} {shown(name)}")
    for cell in board.cells:
        where = f"the manifest of {shown(cell.row)}"
        _in_range(cell.seed, f"the seed in {where}", high=2**63)
        costs = cell.file.costs
        counts = (costs.parameters, costs.multiply_adds, costs.training_memory_mib)
        for value in counts:
            _in_range(value, f"a cost in {where}")
        for row in cell.training:
            for key, value in row.items():
                fraction = key.endswith("accuracy")
                _in_range(value, f"{shown(key)} in {where}", high=1.0 if fraction else math.inf)
        for point in cell.file.checks.curve if cell.file.checks else ():
            _in_range(point.accuracy, f"an accuracy in {where}", high=1.0)
            _in_range(point.eps, f"an eps in {where}")


def _names(board: Leaderboard) -> Iterator[tuple[str, str]]:
    spec = board.board
    yield board.name, f"the board's name in {BOARD}"
    yield spec.model.name, f"the network's name in {BOARD}"
    yield spec.training.method, f"the training method in {BOARD}"
    for row in spec.arms:
        yield row.title, f"the label in {BOARD}"
    for title in spec.titles:
        yield title, f"the row's title in {BOARD}"
    for cell in board.cells:
        yield cell.row, "the row's title in a manifest"
        done = cell.file.cell
        if not isinstance(done, ExternalCell):
            yield done.model.name, "the network's name in a manifest"
            yield done.training.method, "the training method in a manifest"
            continue
        check_text(done.architecture, f"the architecture {shown(done.architecture)}", 160)
        if done.file is not None and not re.fullmatch(r"\w{1,80}\.py", done.file):
            raise UserError(
                f"the architecture {shown(done.architecture)} names a file that a submission may "
                f"not have; use letters, digits and _ before '.py'."
            )


def _data_names(board: Leaderboard) -> Iterator[tuple[str, str]]:
    yield board.dataset, f"the data set's name in {BOARD}"
    yield board.board.data.name, f"the data set's name in {BOARD}"
    for cell in board.cells:
        yield cell.file.cell.data.name, "the data set's name in a manifest"


def _in_range(value: float | None, what: str, high: float = math.inf) -> None:
    if value is not None and not (0 <= value <= high and math.isfinite(value)):
        span = f"between 0 and {high:g}" if math.isfinite(high) else "finite and not negative"
        raise UserError(f"{what} is {str(value)[:20]}; it must be {span}.")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        yield from value
        for key, part in value.items():
            several = key == "description" and isinstance(part, str)  # a board's may have lines
            yield from part.split("\n") if several else _texts(part)
