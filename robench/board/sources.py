"""The sources of the entries that a trained network depends on."""

import ast
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robench.errors import UserError
from robench.registry import (
    Registry,
    backbones,
    datasets,
    defenses,
    plugin_files,
    training_methods,
)
from robench.shipped import is_shipped

Entries = dict[str, tuple[Registry[Any], str]]
"""Kind and name of each entry of a row ("defense mine") -> its registry and name."""


def entries_of(defense: str, method: str, backbone: str, data: str) -> Entries:
    """Return the entries of a row that are registered here.

    The backbone and the data set of a published row may be of a plugin that is not loaded here, and
    a folder of images is no entry.

    Args:
        defense: the defense as the row names it; it may have options, as the others may.
        method: its training method.
        backbone: its network.
        data: its data set.
    """
    named: tuple[tuple[Registry[Any], str], ...] = (
        (defenses, defense),
        (training_methods, method),
        (backbones, backbone),
        (datasets, "" if ":" in _name(data, r"[\w:]+") else data),
    )
    names = [(registry, _name(expression)) for registry, expression in named]
    return {f"{r.kind} {name}": (r, name) for r, name in names if name in r}


def sources_of(entries: Entries) -> dict[str, str]:
    """Return the hashes of the sources of entries, but for those of the suite as shipped."""
    found = {key: registry.source_identity(name) for key, (registry, name) in entries.items()}
    return {key: source for key, source in sorted(found.items()) if source is not None}


def other_sources(
    recorded: Mapping[str, str], entries: Entries, *, complete: bool = True
) -> list[str]:
    """Return the entries whose sources here are not those that a network was trained with.

    Args:
        recorded: the sources that it was trained with, as :func:`sources_of` returned them.
        entries: its entries that are registered here; others are not compared.
        complete: whether entries that are not recorded were those of the suite as shipped. If not,
            this is assumed for names of the suite, and nothing is known of others.
    """
    here = sources_of(entries)
    if not complete:
        here = {k: source for k, source in here.items() if k in recorded or _is_shipped(k)}
    compared = sorted(here.keys() | (recorded.keys() & entries.keys()))
    return [key for key in compared if here.get(key) != recorded.get(key)]


def quoted(key: str) -> str:
    """Return an entry as sentences name it: ``defense 'mine'``."""
    kind, name = key.rsplit(" ", 1)
    return f"{kind} '{name}'"


def plugin_hash_of_version_1(entries: Entries) -> str | None:
    """Return what version 1 of a cell has as its ``plugin_hash``: None without plugins.

    It depends on the version of Python, counts one file per plugin, and no data set.
    """
    order = [registry.kind for registry in (defenses, training_methods, backbones)]
    files = {registry.kind: registry.get(name).file for registry, name in entries.values()}
    plugins = [files[kind] for kind in order if files.get(kind) in plugin_files]
    hashes = list(dict.fromkeys(_hash_of_version_1(Path(file)) for file in plugins))
    if len(hashes) < 2:
        return hashes[0] if hashes else None
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]


def _hash_of_version_1(file: Path) -> str:
    try:
        code = ast.dump(ast.parse(file.read_text(encoding="utf-8")))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"cannot read the plugin {file}: {error}.") from error
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def _is_shipped(key: str) -> bool:
    kind, name = key.rsplit(" ", 1)
    return is_shipped(kind, name)


def _name(expression: str, pattern: str = r"\w+") -> str:
    """Return the name at the beginning of an expression."""
    found = re.match(pattern, expression.strip())
    return found[0] if found else ""
