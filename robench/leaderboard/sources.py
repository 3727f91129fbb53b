"""Compare the sources of a published network and its attacks with those that are here."""

import platform

from robench.board.cells import SOURCES_VERSION, SPEC_VERSION, Cell
from robench.board.sources import Entries, other_sources, plugin_hash_of_version_1, quoted
from robench.errors import UserError
from robench.registry import attacks
from robench.shipped import is_earlier, is_shipped


def other_source(done: Cell, entries: Entries, python: str) -> str | None:
    """Return how the sources of a published cell differ from those here; None if they do not.

    Each cell is held against the rules of its own version. An entry of a plugin that is not loaded
    here is not compared: its source is not known.

    Args:
        done: the published cell.
        entries: the entries of its row that are registered here.
        python: the version of Python that it was trained with, or "".
    """
    if done.version not in (SPEC_VERSION, SOURCES_VERSION):
        return f"its specification has version {done.version}, which this robench does not know."
    if bool(done.sources) != (done.version == SOURCES_VERSION):
        return f"its specification has version {done.version} and {len(done.sources)} sources."
    earlier = done.version == SPEC_VERSION
    if earlier and _is_other_plugin(done, entries, python):
        names = _listed(entries)
        return f"the plugin files of its {names} are not those that it was trained with."
    # Version 1 does not record the sources of entries that are neither plugins nor the suite's.
    others = other_sources(done.sources, entries, complete=not earlier)
    if others:
        return f"the source of the {quoted(others[0])} is not the one that it was trained with."
    return None


def other_attack(column: str, published: str | None) -> bool:
    """Return whether the attack of a column is not the one that was published, if that is known.

    Args:
        column: the attack, with its options.
        published: the source that it had; None if it was the suite's, or not recorded.
    """
    try:
        entry, _ = attacks.lookup(column)
    except UserError:
        return False  # of a plugin that is not loaded here
    known = published is not None or is_shipped(attacks.kind, entry.name.partition(":")[0])
    differs = known and attacks.source_identity(column) != published
    return differs and not earlier_attack(column, published)


def earlier_attack(column: str, published: str | None) -> bool:
    """Return whether outcomes are of an attack of the suite as it was before it was changed.

    They remain sound: they are what they say, by the attack of their time.

    Args:
        column: the attack, with its options.
        published: the source that it had; None if it was the suite's, or not recorded.
    """
    try:
        entry, _ = attacks.lookup(column)
    except UserError:
        return False
    name = entry.name.partition(":")[0]
    return is_earlier(attacks.kind, name, published) and (
        attacks.source_identity(column) != published
    )


def _is_other_plugin(done: Cell, entries: Entries, python: str) -> bool:
    """Return whether a cell of version 1 was trained with other plugin files, if that is known."""
    if done.plugin_hash is not None and not any(key.startswith("backbone ") for key in entries):
        return False  # it is of a plugin that is not loaded here
    if done.plugin_hash is not None and _minor(python) != _minor(platform.python_version()):
        return False  # the hashes of version 1 depend on the version of Python
    return plugin_hash_of_version_1(entries) != done.plugin_hash


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _listed(entries: Entries) -> str:
    named = [quoted(key) for key in entries]
    return ", ".join(named[:-1]) + f" and {named[-1]}"
