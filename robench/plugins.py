"""Plugins: a user's own Python files (``--plugin FILE``) that register entries."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb, walk_tb
from typing import Any

from robench.errors import RobenchWarning, UserError
from robench.plugin_modules import forget_plugin, import_plugin
from robench.registry import REGISTRIES, plugin_files
from robench.sources import PLUGIN_PREFIX, imported_modules, source_files, source_hash
from robench.system.files import is_file

_loaded: dict[Path, None] = {}
"""The files that were loaded, in order; also those that were undone since."""


def load_plugin(path: str | Path) -> None:
    """Import a user's file, so that boards can name the entries that it registers.

    It may import the modules that are beside it; see :mod:`robench.plugin_modules`. A file that was
    loaded before is executed again if it, or what it imports from beside it, has changed since. One
    that registers no entry is warned of. One that raises leaves no entry registered.

    Raises:
        UserError: if there is no such Python file, or it raises.
    """
    file = Path(os.path.realpath(path))  # Path.resolve raises at a link to itself
    if not is_file(file) or file.suffix != ".py":
        raise UserError(f"plugin '{path}' is not an existing Python file; name a .py file.")
    if "." in file.stem:
        raise UserError(f"plugin '{path}' has a second dot in its name; rename it.")
    for registry in REGISTRIES:
        registry.discover()
    files = set(source_files(file).values())
    known, others = str(file) in plugin_files, set(plugin_files)
    plugin_files.update(map(str, files))
    _loaded[file] = None
    loaded = [name for name, module in list(sys.modules.items()) if _same_file(module, file)]
    if loaded:
        # Its modules outlast what they registered, if that was undone.
        undone = not known and all(name.startswith(PLUGIN_PREFIX) for name in loaded)
        if not undone and not _have_changed(files):
            return
        unload_plugin(file)
    before, states = _registered(), [registry.state() for registry in REGISTRIES]
    try:
        import_plugin(file)
    except BaseException as error:
        _undo(files, states)
        plugin_files.difference_update(set(map(str, files)) - others, {str(file)})
        if isinstance(error, UserError) or not isinstance(error, Exception):
            raise
        line = _line_in(error, file)
        raise UserError(f"plugin '{path}' raises{line}: {type(error).__name__}: {error}") from error
    if _registered() == before and not _bring_entries(files):
        warnings.warn(
            f"plugin '{path}' registers no entry; is a decorator such as @register_defense "
            f"missing?",
            RobenchWarning,
            stacklevel=2,
        )


def loaded_plugins() -> tuple[Path, ...]:
    """Return the plugins whose entries are registered, in the order in which they were loaded."""
    return tuple(file for file in _loaded if str(file) in plugin_files)


def raised_in_plugin(error: BaseException) -> str | None:
    """Return what a user's own code raised, and in which line of which file; None if none did."""
    frames = [
        f"{frame.f_code.co_filename}, line {line},"
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).startswith(PLUGIN_PREFIX)
        and frame.f_code.co_filename != "<string>"  # methods that dataclasses write
    ]
    if not frames:
        return None
    said = f": {error}" if str(error) else ""
    return f"{frames[-1]} raises {type(error).__name__}{said}"


def unload_plugin(file: Path) -> None:
    """Forget a file and what it imports from beside it: the entries and the modules."""
    for source in source_files(file).values():
        for registry in REGISTRIES:
            registry.forget(source)
    forget_plugin(file)


@contextmanager
def registrations_undone() -> Iterator[None]:
    """Undo on leaving what is registered inside the ``with`` statement."""
    before, files = [registry.state() for registry in REGISTRIES], set(plugin_files)
    try:
        yield
    finally:
        for registry, state in zip(REGISTRIES, before, strict=True):
            registry.restore(state)
        plugin_files.intersection_update(files)


def _undo(files: set[Path], states: Sequence[tuple[dict[str, Any], ...]]) -> None:
    """Take out what a plugin's files registered since; what they imported elsewhere stays loaded.

    Args:
        files: the plugin and what it imports from beside it.
        states: what was in each of the registries.
    """
    own = set(map(str, files))
    for registry, (entries, *others) in zip(REGISTRIES, states, strict=True):
        added = {n: e for n, e in registry.state()[0].items() if n not in entries}
        kept = {name: entry for name, entry in added.items() if entry.file not in own}
        registry.restore(({**entries, **kept}, *others))


def _registered() -> set[tuple[str, str, int]]:
    """Return what is registered: another object of the same name is another entry."""
    return {
        (registry.kind, name, id(found))
        for registry in REGISTRIES
        for known in registry.state()[:2]
        for name, found in known.items()
    }


def _bring_entries(files: set[Path]) -> bool:
    """Return whether a plugin's files, or modules that they import, registered an entry before."""
    own = {entry.file for registry in REGISTRIES for entry in registry.entries()}
    names = {name for file in files for name in imported_modules(file)}
    imported = {str(getattr(sys.modules.get(name), "__file__", None)) for name in names}
    return bool(own & (imported | set(map(str, files))))


def _have_changed(files: set[Path]) -> bool:
    """Return whether the source of a loaded file is not the one that registered its entries."""
    own = [e for r in REGISTRIES for e in r.entries() if Path(e.file) in files]
    return any(entry.tree != source_hash(Path(entry.file)) for entry in own)


def _same_file(module: Any, file: Path) -> bool:
    other = str(getattr(module, "__file__", None) or "")
    # The name first: to resolve the paths of thousands of modules takes a quarter of a second.
    return other.endswith(file.name) and Path(other).resolve() == file


def _line_in(error: BaseException, file: Path) -> str:
    lines = [f.lineno for f in extract_tb(error.__traceback__) if Path(f.filename) == file]
    return f" in line {lines[-1]}" if lines else ""
