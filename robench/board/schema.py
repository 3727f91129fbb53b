"""The JSON Schema of ``board.toml``, with which editors complete and check it."""

from typing import Any

from robench.board.board import Board


def board_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a board's file.

    It has the keys, types and ranges. What it cannot say, such as the names of entries, is checked
    when the board is read.
    """
    schema = Board.model_json_schema()
    parts = schema["$defs"]
    del parts["Paper"]["required"]  # what a board leaves out, the one that it extends may have
    parts["Goal"].pop("required")  # likewise
    # A row states changes only, and none of these tables has a key that must be there.
    parts["RowSpec"]["properties"] |= {
        "training": {"$ref": "#/$defs/TrainingSpec"},
        "data": {"$ref": "#/$defs/DataSpec"},
    }
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
