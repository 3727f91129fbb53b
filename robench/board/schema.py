"""The JSON Schema of a board's file, with which editors complete and check it."""

from collections.abc import Mapping
from typing import Any

from robench.board.board import Board
from robench.board.specs import Spec


def board_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file of a board of classifiers.

    It has the keys, types and ranges. What it cannot say, such as the names of entries, is checked
    when the board is read.
    """
    return schema_of(Board, "RowSpec", {"training": "TrainingSpec", "data": "DataSpec"})


def schema_of(form: type[Spec], row: str, changes: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON Schema of the file of a kind of board.

    Args:
        form: its specification.
        row: the specification of a row.
        changes: the keys of a row that change a table -> the specification of the table. A row
            states changes only, and none of these tables has a key that must be there.
    """
    schema = form.model_json_schema()
    parts = schema["$defs"]
    for table in ("Goal", "Paper"):  # what a board leaves out, the one that it extends may have
        parts.get(table, {}).pop("required", None)
    for key, table in changes.items():
        parts[row]["properties"][key] = {"$ref": f"#/$defs/{table}"}
    extends = {"type": "string", "description": "The board whose other settings are taken over."}
    properties = {"extends": extends, **schema["properties"]}
    # A board that extends another has its title.
    needed = {"anyOf": [{"required": ["title"]}, {"required": ["extends"]}]}
    rest = {k: v for k, v in schema.items() if k not in ("properties", "required", "title")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A board of robench",
        **rest,
        **needed,
        "properties": properties,
    }
