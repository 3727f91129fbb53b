"""Read JSON that a stranger may have written: strict, and without surprises for what follows."""

import json
import math
import re
from pathlib import Path
from typing import Any

from robench.errors import UserError, shortened
from robench.system.reading import DOCUMENT_BYTES, Refused, read_bytes
from robench.system.values import DEPTH, check_values, check_whole, too_deep

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def read_json(path: Path, *, inside: Path | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        inside: the folder that it may not be a link out of.

    Raises:
        UserError: if it is missing, not a plain file, too large or not JSON as
            :func:`parse_json` reads it.
    """
    try:
        content = read_bytes(path, longest=DOCUMENT_BYTES, inside=inside)
        return parse_json(content)
    except Refused:
        raise
    except ValueError as error:
        raise UserError(
            f"{path} is damaged: it is not JSON ({error}); restore it, or remove it if it is in a "
            f"run store."
        ) from error


def parse_json(content: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: if it is not JSON in UTF-8, has a key twice, or holds something that
            :func:`robench.system.values.check_values` refuses. The message is part of a sentence.
    """
    if depth_of(content) > DEPTH:
        raise too_deep()
    try:
        value = json.loads(
            content.decode(),
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_whole,
            object_pairs_hook=_pairs,
        )
    except RecursionError:
        raise too_deep() from None
    check_values(value)
    return value


def depth_of(content: bytes) -> int:
    """Return the nesting depth of JSON text without parsing it, since parsers recurse."""
    deepest = depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", content)):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a finite number")


def _float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{shortened(text, 20)} is not a finite number")
    return value


def _whole(text: str) -> int:
    if len(text) > 20:  # Python refuses to read thousands of digits, and nothing needs them
        raise ValueError(f"it has a whole number of {len(text)} digits")
    value = int(text)
    check_whole(value)
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"it has the key '{shortened(twice)}' twice: duplicate key")
    return made
