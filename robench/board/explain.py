"""What is wrong with a specification, in a sentence."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from robench.board.cells import KINDS
from robench.errors import did_you_mean, question, shortened
from robench.wrong_values import quoted, what_to_write

_RADIUS = ("eps", "norm")
"""Options of attacks that a board sets for all of them, in a table that may hold any option."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first error of a validation, naming the key and the nearest valid one."""
    first = worst(error)
    parts = [part for part in first["loc"] if part not in KINDS]
    key, value = ".".join(shortened(part) for part in parts), first["input"]
    if first["type"] == "extra_forbidden":
        last = str(parts[-1])
        tables = _tables_with(last, model) if len(parts) == 1 else []
        if tables:
            meant = question(f"'{table}.{last}'" for table in tables)
            return f"unknown key '{key}'; {meant}"
        return f"unknown key '{key}'; {did_you_mean(last, _keys(model, first))}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing."
    message = what_to_write(first)
    if not key:
        return message
    table = _model_at(model, first["loc"])
    if isinstance(value, dict):
        if first["type"] == "tuple_type" and table is not None:
            message = f"it is a list of tables; write [[{key}]]."
        return f"{key}: {message}"
    if table is not None and first["type"] == "model_type" and "name" in table.model_fields:
        message = f"{key} is a table; did you mean {key}.name?"
    return f"{key} = {quoted(value)}: {message}"


def worst(error: ValidationError) -> Any:
    """Return the error to report: an unknown key first, since it explains a missing one."""
    errors = error.errors(include_url=False)
    return next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])


def _tables_with(key: str, model: type[BaseModel]) -> list[str]:
    """Return the tables of a specification that have a key, such as ``training`` for ``lr``."""
    fields = {name: field.annotation for name, field in model.model_fields.items()}
    tables = [name for name, kind in fields.items()
              if get_origin(kind) is not tuple and (inner := _model_in(kind))
              and key in inner.model_fields]  # fmt: skip
    return tables + (["evaluation.defaults"] if key in _RADIUS and "evaluation" in fields else [])


def _keys(model: type[BaseModel], error: Any) -> list[str]:
    return list((_model_at(model, error["loc"][:-1]) or model).model_fields)


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the specification of the table, or of the tables of the list, at a location."""
    found: type[BaseModel] | None = model
    for part in location:
        if part in KINDS:
            found = KINDS[part]
        elif not isinstance(part, int) and found is not None:
            field = found.model_fields.get(part)
            found = _model_in(field.annotation) if field else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model of an annotation: itself, or that of ``tuple[model, ...]`` or an option."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
