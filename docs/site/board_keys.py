"""Every key of ``board.toml``, from the specification that reads it."""

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic_core import PydanticUndefined

from docs.site.markdown import code, one_line, prose, table
from robench.board.board import Board, RowSpec
from robench.board.goal import Goal
from robench.board.paper import Paper
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, Spec, TrainingSpec
from robench.commands.info import meanings
from robench.commands.schema import file_schema
from robench.gan.board import GanBoard, GanData, GanRow, MeasureSpec, ProtocolSpec
from robench.gan.spec import GanSpec

TABLES: tuple[tuple[str, type[Spec]], ...] = (
    ("The top level", Board),
    ("`[data]`", DataSpec),
    ("`[model]`", ModelSpec),
    ("`[training]`", TrainingSpec),
    ("`[evaluation]`", EvaluationSpec),
    ("`[[arms]]`", RowSpec),
    ("`[goal]`", Goal),
    ("`[paper]`", Paper),
    ("Boards of GANs: the top level", GanBoard),
    ("Boards of GANs: `[data]`", GanData),
    ("Boards of GANs: `[gan]`", GanSpec),
    ("Boards of GANs: `[measure]`", MeasureSpec),
    ("Boards of GANs: `measure.protocols`", ProtocolSpec),
    ("Boards of GANs: `[[arms]]`", GanRow),
)

LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "maxLength": "at most {:,} characters",
    "minItems": "at least {:,} of them",
    "maxItems": "at most {:,} of them",
}
"""Words for what the JSON Schema limits."""


def board_keys() -> str:
    """Return a section for each table of ``board.toml``."""
    parts = {name: part["properties"] for name, part in file_schema()["$defs"].items()}
    sections = []
    for title, spec in TABLES:
        described, known = _documentation(spec)
        # A row may change any key of these tables; the schema says so, the class has plain dicts.
        rows = [_row(key, spec, parts, known) for key in parts[spec.__name__]]
        keys = table(("key", "meaning", "what may stand there", "default"), rows)
        sections.append(f"## {title}\n\n{described}\n\n{keys}\n")
    return "\n".join(sections)


def _row(
    key: str, spec: type[Spec], parts: dict[str, Any], known: dict[str, str]
) -> tuple[str, str, str, str]:
    part = parts[spec.__name__][key]
    field = spec.model_fields.get(key)
    meaning = known.get(key) or (part.get("description", "") if "$ref" not in part else "")
    default = "" if field is None else _default(field.get_default(call_default_factory=True))
    return code(key), prose(one_line(meaning)), ", ".join(_kind(part)), default


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "must be given"
    if (
        value is None
        or isinstance(value, Spec)
        or (value and isinstance(value, tuple) and isinstance(value[0], Spec))
    ):
        return ""
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple | list):
        return code(f"[{', '.join(_toml(each) for each in value)}]")
    return "" if value == {} else code(_toml(value))


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return f"{round(value * 255)}/255" if value == 8 / 255 else f"{value}"


def _kind(part: dict[str, Any]) -> Iterator[str]:
    """Yield the type of a key in words, then its limits."""
    if "$ref" in part or "allOf" in part:
        yield "a table"
    elif "enum" in part:
        yield " or ".join(code(f'"{each}"') for each in part["enum"])
    elif "anyOf" in part:
        kinds = [", ".join(_kind(each)) for each in part["anyOf"] if each.get("type") != "null"]
        yield " or ".join(dict.fromkeys(kinds))
    elif part.get("type") == "array":
        yield f"a list: {', '.join(_kind(part.get('items', {}))) or 'anything'}"
    else:
        yield {
            "string": "a text", "integer": "a whole number", "number": "a number",
            "boolean": "`true` or `false`", "object": "a table",
        }.get(str(part.get("type")), "a value")  # fmt: skip
    for name, words in LIMITS.items():
        if name in part:
            yield words.format(part[name])


def _documentation(spec: type[Spec]) -> tuple[str, dict[str, str]]:
    """Return what the docstrings say: about the table, and about each of its keys."""
    text = re.split(r"\n\n(?:Attributes|Raises):\n", inspect.getdoc(spec) or "")[0]
    return prose(text), {**meanings(spec), **dict(_below_fields(spec))}


def _below_fields(spec: type[Spec]) -> Iterator[tuple[str, str]]:
    """Yield (key, docstring) of each field that has a docstring below it."""
    (definition,) = ast.parse(inspect.getsource(spec)).body
    assert isinstance(definition, ast.ClassDef)
    for field, after in pairwise(definition.body):
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(field.target, ast.Name)
            yield field.target.id, str(ast.literal_eval(after.value))
