"""Which settings differ between boards, key by key, as their board files name them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from robench.board.cells import Cell
from robench.expressions import radius_text
from robench.leaderboard.published import Leaderboard

NONE = "-"
"""What stands for a setting that a board does not have."""

_MANY = 5
"""Calls of one attack that are listed one by one."""
_BETWEEN = ",\N{NO-BREAK SPACE}"
"""Between the values of a list until it is shown: a comma may be within a call."""

_KEYS = {"seeds", "data", "model", "training", "evaluation", "baseline"}
_RADII = ("eps", "step_size")


def different_settings(
    boards: Sequence[Leaderboard], labels: Sequence[str], rows: Sequence[str]
) -> pd.DataFrame:
    """Return one line per setting that is not the same on all boards: its key, then its values.

    A setting of a row is named ``row: key``, if it differs although the boards have the same. The
    images are those of the fingerprint, and the commit is that of the code.

    Args:
        boards: the boards.
        labels: their names, which are the columns.
        rows: the rows that all of them have.
    """
    found = [_settings(board) for board in boards]
    keys = dict.fromkeys(key for settings in found for key in settings)
    lines = [[key, *(settings.get(key, NONE) for settings in found)] for key in keys]
    own = [_own(board, settings, rows) for board, settings in zip(boards, found, strict=True)]
    for key in dict.fromkeys(key for settings in own for key in settings):
        whole = key.rpartition(": ")[2]
        if len({settings.get(whole) for settings in found}) == 1:
            lines.append([key, *(settings.get(key, NONE) for settings in own)])
    differing = [[key, *map(_brief, values)] for key, *values in lines if len(set(values)) > 1]
    return pd.DataFrame(differing, columns=["setting", *labels], dtype=object)


def _settings(board: Leaderboard) -> dict[str, str]:
    """Return key -> value, as text."""
    cells = board.cells
    versions = sorted({cell.result.version for cell in cells} - {""})
    return {
        "data set": board.dataset,
        "images": " ".join(sorted({cell.file.cell.data_hash[:12] for cell in cells})),
        **_flat(board.board.model_dump(include=_KEYS)),
        "commit": " ".join(versions),
    }


def _brief(value: str) -> str:
    """Return a list of calls with those of one name counted if they are many, as corruptions."""
    calls = value.split(_BETWEEN)
    names = Counter(call.partition("(")[0] for call in calls)
    shown = (
        call if names[name] <= _MANY else f"{name}(...), {names[name]} times"
        for call in calls
        for name in [call.partition("(")[0]]
    )
    return ", ".join(dict.fromkeys(shown))


def _own(board: Leaderboard, common: Mapping[str, str], rows: Sequence[str]) -> dict[str, str]:
    """Return what the shared rows have for each setting: ``row: key`` -> value."""
    found: dict[str, str] = {}
    for row in board.result.rows:
        cell = row.cells[0].evidence.cell
        if row.title not in rows:
            continue
        if not isinstance(cell, Cell):
            found[f"{row.title}: network"] = cell.architecture
            continue
        found[f"{row.title}: defense"] = cell.defense
        parts = {name: getattr(cell, name).model_dump() for name in ("data", "model", "training")}
        for key, value in _flat(parts).items():
            # A published board names its folder of images otherwise than the cells do.
            found[f"{row.title}: {key}"] = common[key] if key == "data.name" else value
    return found


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = _text(key, value)
    return found


def _text(key: str, value: Any) -> str:
    """Return a value as a board file has it, without quotation marks and brackets."""
    if isinstance(value, (tuple, list)):
        return _BETWEEN.join(map(str, value)) or NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return radius_text(value) if key in _RADII else f"{value:g}"
    return NONE if value is None or value == "" else str(value)
