"""What a file of JSON or TOML may hold: shallow, with text and numbers that everything can take."""

import math
from collections.abc import Iterator
from typing import Any

from robench.errors import shortened

DEPTH = 16
"""Greatest nesting, since parsers and validators recurse; the deepest of our own files have 7."""

LARGEST = 2**63 - 1
"""Largest whole number: what tables, arrays and tensors hold."""


def check_values(value: Any) -> None:
    """Check what was parsed; without recursion.

    Args:
        value: dictionaries and lists of text, numbers, booleans, None and dates.

    Raises:
        ValueError: if it is nested more than :data:`DEPTH` levels deep, has text with a NUL or
            half of a surrogate pair, or a number that is not finite or has more than 64 bits. The
            message is part of a sentence.
    """
    for part, depth in _parts(value):
        if depth > DEPTH:
            raise too_deep()
        if isinstance(part, str):
            _check_text(part)
        elif isinstance(part, int):
            check_whole(part)
        elif isinstance(part, float) and not math.isfinite(part):
            raise ValueError(f"{part} is not a finite number")


def check_whole(number: int) -> None:
    """Check a whole number.

    Raises:
        ValueError: if it has more than 64 bits.
    """
    if not -LARGEST <= number <= LARGEST:
        raise ValueError(f"it has a whole number of {number.bit_length()} bits; 63 are allowed")


def too_deep() -> ValueError:
    """Return the error of something that is nested too deeply."""
    return ValueError(f"it is nested more than {DEPTH} levels deep")


def _parts(value: Any) -> Iterator[tuple[Any, int]]:
    """Yield all values and keys with the number of lists and dictionaries that they are in."""
    rest = [(value, 0)]
    while rest:
        part, depth = rest.pop()
        yield part, depth
        if isinstance(part, dict):
            rest += [(inner, depth + 1) for inner in (*part, *part.values())]
        elif isinstance(part, list):
            rest += [(inner, depth + 1) for inner in part]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError(f"the text '{shortened(text)}' has a NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the text '{shortened(text)}' is not valid Unicode") from None
