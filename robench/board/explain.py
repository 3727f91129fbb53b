"""What is wrong with a specification, in a sentence."""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from robench.board.specs import KINDS
from robench.errors import did_you_mean


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first error of a validation, naming the key and the nearest valid one."""
    first = worst(error)
    key = ".".join(str(part) for part in first["loc"] if part not in KINDS)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {did_you_mean(str(first['loc'][-1]), _keys(model, first))}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing."
    message = first["msg"].removeprefix("Value error, ")
    if not key:
        return message
    value = first["input"]
    return f"{key}: {message}" if isinstance(value, dict) else f"{key} = {value!r}: {message}"


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
