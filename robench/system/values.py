"""What a file of JSON or TOML may hold: shallow, with text and numbers that everything can take."""

import math
from collections.abc import Iterator
from typing import Any

from robench.errors import shortened

DEPTH = 16
"""Greatest nesting, since parsers and validators recurse; the deepest of our own files have 7."""

LARGEST = 2**63 - 1
"""Largest whole number: what tables, arrays and tensors hold."""

LARGEST_FLOAT = 1e100
"""Largest size of any other number: products of three of them are finite still, and no figure of a
training or an attack comes near it."""


def check_values(value: Any) -> None:
    """Check what was parsed; without recursion.

    Args:
        value: dictionaries and lists of text, numbers, booleans, None and dates.

    Raises:
        ValueError: if it is nested more than :data:`DEPTH` levels deep, has text with a NUL or
            half of a surrogate pair, a whole number of more than 64 bits, or another number that is
            not finite or beyond :data:`LARGEST_FLOAT`. The message is part of a sentence.
    """
    for part, depth in _parts(value):
        if depth > DEPTH:
            raise too_deep()
        if isinstance(part, str):
            _check_text(part)
        elif isinstance(part, int):
            check_whole(part)
        elif isinstance(part, float):
            check_float(part)


def check_whole(number: int) -> None:
    """Check a whole number.

    Raises:
        ValueError: if it has more than 64 bits.
    """
    if not -LARGEST <= number <= LARGEST:
        raise ValueError(f"it has a whole number of {number.bit_length()} bits; 63 are allowed")


def check_float(number: float) -> None:
    """Check a number that is not a whole one.

    Raises:
        ValueError: if it is not finite or beyond :data:`LARGEST_FLOAT`.
    """
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    if abs(number) > LARGEST_FLOAT:
        raise ValueError(f"{number:g} is too large a number; {LARGEST_FLOAT:g} is allowed")


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
