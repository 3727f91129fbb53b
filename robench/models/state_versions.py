"""Versions of modules: torch stores them beside a state dict, and a module's loading goes by them.

A module whose state was stored otherwise in earlier versions of its code converts what it loads if
the version is an earlier one, or none.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

Versions = Mapping[str, Mapping[str, Any]]
"""The name of a module -> its ``version``, and what else torch or its code notes of it."""


def versions_of(state: Any) -> Versions:
    """Return what a state dict says of the versions of its modules: nothing if it is a plain dict.

    Args:
        state: the state dict of a model, or one from a file, perhaps of a stranger.
    """
    stored = getattr(state, "_metadata", None)
    if not isinstance(stored, Mapping):
        return {}
    return {
        name: dict(noted)
        for name, noted in stored.items()
        if isinstance(name, str) and isinstance(noted, Mapping)
    }


def with_versions(values: Mapping[str, Any], versions: Versions) -> "OrderedDict[str, Any]":
    """Return a state dict whose modules are of the versions given, and of none where none is."""
    state = OrderedDict(values)
    state._metadata = OrderedDict(versions)  # type: ignore[attr-defined]  # where torch looks
    return state
