"""Write a board as a TOML file."""

import json
from typing import Any

from robench.board.specs import Spec


def board_text(board: Spec) -> str:
    """Return a board as the text of a TOML file, which ``robench run`` takes.

    Nothing is inherited in it: it has every setting, so that another version of robench with other
    defaults runs the same board.
    """
    lines: list[str] = []
    _table(_without_nothing(board.model_dump(mode="json")), "", lines)
    return "\n".join(lines).lstrip("\n") + "\n"


def _without_nothing(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out None, which TOML does not have, and texts and tables that say nothing."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        inner = _without_nothing(value) if isinstance(value, dict) else value
        if isinstance(inner, list):
            inner = [_without_nothing(v) if isinstance(v, dict) else v for v in inner]
        if inner is not None and inner not in ("", {}):
            kept[key] = inner
    return kept


def _table(values: dict[str, Any], path: str, lines: list[str]) -> None:
    """Append a table: first its own keys, then the tables in it."""
    for key, value in values.items():
        if not isinstance(value, dict):
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in values.items():
        if isinstance(value, dict):
            inner = f"{path}.{_key(key)}" if path else _key(key)
            lines += ["", f"[{inner}]"]
            _table(value, inner, lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    parts = [_value(part) for part in value]
    if any(isinstance(part, dict) for part in value):
        return "[\n" + "".join(f"  {part},\n" for part in parts) + "]"
    return f"[{', '.join(parts)}]"


def _text(value: str) -> str:
    """Quote a text: the escapes of JSON are those of TOML, which escapes one more character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _text(key)
