"""What is wrong with a specification, in a sentence."""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from robench.board.cells import KINDS
from robench.errors import LONGEST, did_you_mean, shortened

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
    message = shortened(first["msg"].removeprefix("Value error, "), _MESSAGE)
    if not key:
        return message
    value = first["input"]
    return (
        f"{key}: {message}" if isinstance(value, dict) else f"{key} = {_quoted(value)}: {message}"
    )


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
