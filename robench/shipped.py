"""The identity of an entry's source: nothing for an entry of the suite as it is shipped.

``shipped_sources.json`` lists, for each entry of the suite, the hashes of the sources that stand
for one and the same meaning, and what each adds to the identity of results: nothing (null), or the
hash that the meaning was first published under. So results are found again after an edit that
changes no result, and are not after one that does; a source that is not listed adds its own hash.
CONTRIBUTING.md says how an edit of an entry is listed.
"""

import json
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("shipped_sources.json")

Sources = dict[str, dict[str, dict[str, str | None]]]
"""Kind -> name -> hash of a source -> what it adds to the identity of results."""


@cache
def shipped_sources() -> Sources:
    """Return the contents of the list."""
    sources: Sources = json.loads(FILE.read_text(encoding="utf-8"))
    return sources


def identity_of(kind: str, name: str, source: str) -> str | None:
    """Return what the source of an entry adds to the identity of results.

    Args:
        kind: what the entry is, as its registry calls it.
        name: its name.
        source: the hash of its source.

    Returns:
        None for an entry of the suite whose results are known by its name alone; otherwise a hash.
    """
    return shipped_sources().get(kind, {}).get(name, {}).get(source, source)


def is_shipped(kind: str, name: str) -> bool:
    """Return whether the suite has an entry of this name, whatever its source is here."""
    return name in shipped_sources().get(kind, {})


def is_earlier(kind: str, name: str, identity: str | None) -> bool:
    """Return whether results are those of an entry of the suite as it was before it changed them.

    Args:
        kind: what the entry is, as its registry calls it.
        name: its name.
        identity: what :func:`identity_of` returned for the source that the results are of.
    """
    meanings = list(dict.fromkeys(shipped_sources().get(kind, {}).get(name, {}).values()))
    return identity in meanings[:-1]


def is_edited(kind: str, name: str, identity: str | None) -> bool:
    """Return whether an entry of the suite has a source that the suite has not shipped.

    Args:
        kind: what the entry is, as its registry calls it.
        name: its name.
        identity: what :func:`identity_of` returned for its source.
    """
    return identity not in {None, *shipped_sources().get(kind, {}).get(name, {}).values()}
