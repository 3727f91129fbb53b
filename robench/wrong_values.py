"""What is wrong with a value, in the words of a user: those of pydantic are for programmers."""

from typing import Any

from robench.errors import LONGEST, shortened
from robench.expressions import split_expressions

_MESSAGE = 400
"""Characters of what a validator says, which may repeat its input."""

_INSTEAD = {
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "int_parsing_size": "write a smaller number",
    "float_type": "write a number, such as {number}",
    "float_parsing": "write a number, such as {number}",
    "finite_number": "write a finite number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "string_type": "write text, in quotes",
    "literal_error": "write {expected}",
    "enum": "write {expected}",
    "greater_than": "write a number above {gt}",
    "greater_than_equal": "write {ge} or more",
    "less_than": "write a number below {lt}",
    "less_than_equal": "write {le} or less",
    "too_short": "list at least {min_length}",
    "too_long": "list at most {max_length}",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "write at most {max_length} characters",
}
"""Pydantic's type of an error -> what to write instead, with the values of its context."""


def what_to_write(error: Any, number: str = "0.1") -> str:
    """Return what to write in place of a wrong value, or what is wrong with it; a sentence's end.

    Args:
        error: one of ``errors()`` of a pydantic validation.
        number: numbers as they may be written there.
    """
    kind = error["type"]
    if kind in ("tuple_type", "list_type"):
        said = _list_for(error["input"])
    elif kind in ("dict_type", "model_type"):
        said = "write a table of keys and values"
    elif kind in _INSTEAD:
        context = error.get("ctx", {}).items()
        limits = {key: f"{v:g}" if isinstance(v, float) else v for key, v in context}
        said = _INSTEAD[kind].format(number=number, **limits)
    else:
        said = shortened(error["msg"].removeprefix("Value error, "), _MESSAGE)
    return said if said.endswith((".", "?", "!")) else f"{said}."


def _list_for(value: Any) -> str:
    """Return that a list is needed, and the one that a single value is meant for."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return "write a list"
    parts = split_expressions(value) if isinstance(value, str) else [value]
    return f"write a list: {quoted(parts)}"


def quoted(value: Any) -> str:
    """Return a value as Python writes it; of a long one, the beginning."""
    if isinstance(value, (list, tuple)) and len(value) > 20:
        value = value[:20]
    return shortened(repr(value[:LONGEST] if isinstance(value, str) else value))
