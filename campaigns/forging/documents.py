"""Forgeries of the JSON documents, generated from their schema."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from campaigns.forging.draft import Draft, Forgery, readable
from campaigns.forging.follow import follow
from campaigns.forging.places import Place, parent_of, places
from campaigns.forging.values import LIES, another

TRIES = 8
"""How often a value is drawn again that robench would not even read."""


def document_forgeries(draft: Draft) -> list[Forgery]:
    """Return a forgery for each field of the schema, and for each operation on a list or table."""
    by_label: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for name, document in draft.documents.items():
        for place in places(name, document):
            # A value that one entry has may be left out by another: it is one field.
            kind = "value" if place.kind == "absent" else str(place.kind)
            by_label[place.label, kind].append(place)
    made: list[Forgery] = []
    for (label, kind), found in by_label.items():
        if kind == "value":
            made.append(Forgery(label, partial(_change, label, found)))
            continue
        if _may_be_null(draft, found[0]):
            made.append(Forgery(f"{label}: null", partial(_change_list, f"{label}: null", found)))
        made.append(Forgery(f"{label}: removed", partial(_change_list, f"{label}: removed", found)))
        if kind == "list":
            added = ("added",) if str(found[0].path[-1]) in LIES else ()
            for what in ("repeated", "swapped", "emptied", *added):
                full = f"{label}: {what}"
                made.append(Forgery(full, partial(_change_list, full, found)))
    return made


def _may_be_null(draft: Draft, place: Place) -> bool:
    document = copy.deepcopy(draft.documents[place.file])
    parent_of(document, place.path)[place.path[-1]] = None
    return readable(place.file, document)


def _change(
    label: str, found: Sequence[Place], draft: Draft, rng: np.random.Generator
) -> str | None:
    """Write another value at one of the places."""
    place = found[int(rng.integers(len(found)))]
    document = draft.documents[place.file]
    parent, key = parent_of(document, place.path), place.path[-1]
    name = next((str(step) for step in reversed(place.path) if isinstance(step, str)), "")
    siblings = [_value(draft, other) for other in found]
    old = parent[key] if place.kind == "value" else None
    for _ in range(TRIES):
        new = another(old, name, siblings, rng)
        if new == old and type(new) is type(old):
            continue
        parent[key] = new
        if readable(place.file, document):
            break
    if parent.get(key) == old if isinstance(parent, dict) else parent[key] == old:
        return None
    draft.label = label
    follow(draft, place, old, parent[key])
    return f"{place.file}, {'.'.join(map(str, place.path))}: {_short(old)} -> {_short(parent[key])}"


def _change_list(
    label: str, found: Sequence[Place], draft: Draft, rng: np.random.Generator
) -> str | None:
    """Remove, repeat, swap or add entries of a list or table, or remove all of it."""
    place = found[int(rng.integers(len(found)))]
    what = label.rpartition(": ")[2]
    parent, key = parent_of(draft.documents[place.file], place.path), place.path[-1]
    old = copy.deepcopy(parent[key])
    new, detail = _added(old, key, rng) if what == "added" else _listed(old, what, rng)
    parent[key] = new
    if new == old:
        return None
    draft.label = label
    follow(draft, place, old, new)
    return f"{place.file}, {'.'.join(map(str, place.path))}: {what} {_short(detail)}"


def _added(old: list[Any], name: str | int, rng: np.random.Generator) -> tuple[Any, Any]:
    lies = LIES[str(name)]
    lie = lies[int(rng.integers(len(lies)))]
    return [*old, lie], lie


def _listed(old: Any, what: str, rng: np.random.Generator) -> tuple[Any, Any]:
    if what == "null":
        return None, ""
    if what == "emptied" or not old:
        return type(old)(), ""
    if isinstance(old, dict):
        gone = list(old)[rng.integers(len(old))]
        return {key: value for key, value in old.items() if key != gone}, gone
    index = int(rng.integers(len(old)))
    if what == "removed":
        return [*old[:index], *old[index + 1 :]], index
    if what == "repeated":
        return [*old[: index + 1], *old[index:]], index
    order = [int(i) for i in rng.permutation(len(old))]
    return [old[i] for i in order], order


def _value(draft: Draft, place: Place) -> Any:
    if place.kind == "absent":
        return None
    return parent_of(draft.documents[place.file], place.path)[place.path[-1]]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
