"""``robench schema``: the JSON Schema of ``board.toml``, of classifiers and of GANs."""

from typing import Any

from robench.board.loading import GANS
from robench.board.schema import board_schema, schema_of
from robench.gan.board import GanBoard

HEAD = ("$schema", "title", "$defs")
"""What the schemas of both kinds of boards share."""


def gan_board_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file of a board of GANs."""
    return schema_of(GanBoard, "GanRow", {"gan": "GanSpec"})


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file of any board; one of GANs has tables that others have not.

    Editors that know no conditions complete by ``properties``, which are those of both kinds.
    """
    kinds = {"Board": board_schema(), "GanBoard": gan_board_schema()}
    rules = {name: {k: v for k, v in kind.items() if k not in HEAD} for name, kind in kinds.items()}
    parts = {name: part for kind in kinds.values() for name, part in kind["$defs"].items()}
    own = [rules[name]["properties"] for name in kinds]
    return {
        **{key: kinds["Board"][key] for key in HEAD[:2]},
        "properties": {key: _either(*(p[key] for p in own if key in p)) for key in own[0] | own[1]},
        "if": {"anyOf": [{"required": [key]} for key in (GANS, "measure")]},
        "then": {"$ref": "#/$defs/GanBoard"},
        "else": {"$ref": "#/$defs/Board"},
        "$defs": parts | rules,
    }


def _either(one: dict[str, Any], other: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what is one or the other."""
    return one if other is None or one == other else {"anyOf": [one, other]}
