"""What is wrong with a specification, in a sentence."""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from robench.board.cells import KINDS
from robench.errors import LONGEST, did_you_mean, shortened
from robench.expressions import split_expressions

_MESSAGE = 400
"""Characters of what a validator says, which may repeat its input."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first error of a validation, naming the key and the nearest valid one."""
    first = worst(error)
    key = ".".join(shortened(part) for part in first["loc"] if part not in KINDS)
    if first["type"] == "extra_forbidden":
        last = str(first["loc"][-1])
        return f"unknown key '{key}'; {did_you_mean(last, _keys(model, first))}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing."
    value = first["input"]
    message = _wanted(first["type"], value) or first["msg"].removeprefix("Value error, ")
    message = shortened(message, _MESSAGE)
    if not key:
        return message
    return (
        f"{key}: {message}" if isinstance(value, dict) else f"{key} = {_quoted(value)}: {message}"
    )


def _wanted(kind: str, value: Any) -> str | None:
    """Return what to write in place of a value of another type; None if pydantic says it as well.

    Args:
        kind: pydantic's type of the error.
        value: what was given.
    """
    if kind in ("tuple_type", "list_type"):
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return "write a list"
        parts = split_expressions(value) if isinstance(value, str) else [value]
        return f"write a list: {_quoted(parts)}"
    if kind in ("dict_type", "model_type"):
        return "write a table of keys and values"
    return "write text, in quotes" if kind == "string_type" else None


def _quoted(value: Any) -> str:
    """Return a value as Python writes it; of a long one, the beginning."""
    if isinstance(value, (list, tuple)) and len(value) > 20:
        value = value[:20]
    return shortened(repr(value[:LONGEST] if isinstance(value, str) else value))


def worst(error: ValidationError) -> Any:
    """Return the error to report: an unknown key first, since it explains a missing one."""
    errors = error.errors(include_url=False)
    return next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])


def _keys(model: type[BaseModel], error: Any) -> list[str]:
    for part in error["loc"][:-1]:
        if part in KINDS:
            model = KINDS[part]
            continue
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        for candidate in (inner, *get_args(inner)):  # the model itself, or tuple[model, ...]
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return list(model.model_fields)
