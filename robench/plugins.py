"""Plugins: a user's own Python files (``--plugin FILE``) that register entries."""

import importlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path
from traceback import extract_tb
from types import CodeType
from typing import Any

from robench.errors import UserError
from robench.registry import REGISTRIES, as_name, plugin_files
from robench.sources import source_files, source_hash


def load_plugin(path: str | Path) -> None:
    """Import a user's file, so that boards can name the entries that it registers.

    A file that was loaded before is executed again if it, or what it imports from beside it, has
    changed since.

    Raises:
        UserError: if there is no such Python file or it raises.
    """
    file = Path(path).resolve()
    if not file.is_file() or file.suffix != ".py":
        raise UserError(f"plugin '{path}' is not an existing Python file; name a .py file.")
    for registry in REGISTRIES:
        registry.discover()
    plugin_files.add(str(file))
    if any(_same_file(module, file) for module in list(sys.modules.values())):
        if not _has_changed(file):
            return
        _unload(file)
    name = f"robench_plugin_{as_name(file.stem)}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_Uncached(name, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module while it is executed
    try:
        spec.loader.exec_module(module)
    except UserError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        line = _line_in(error, file)
        raise UserError(f"plugin '{path}' raises{line}: {type(error).__name__}: {error}") from error


class _Uncached(SourceFileLoader):
    """Compiles the file as it is now: Python's cache overlooks edits within a second."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled file."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _has_changed(file: Path) -> bool:
    """Return whether the source of a loaded file is not the one that registered its entries."""
    own = [e for r in REGISTRIES for e in r.entries() if e.file == str(file)]
    source = source_hash(file)
    return any(entry.source != source for entry in own)


def _unload(file: Path) -> None:
    """Forget a file, its entries and the modules that it imports from beside it."""
    for registry in REGISTRIES:
        registry.forget(file)
    sources = set(source_files(file).values())
    for name, module in list(sys.modules.items()):
        if any(_same_file(module, path) for path in sources):
            del sys.modules[name]
    for path in sources:
        Path(cache_from_source(path)).unlink(missing_ok=True)
    importlib.invalidate_caches()


def _same_file(module: Any, file: Path) -> bool:
    other = str(getattr(module, "__file__", None) or "")
    # The name first: to resolve the paths of thousands of modules takes a quarter of a second.
    return other.endswith(file.name) and Path(other).resolve() == file


def _line_in(error: BaseException, file: Path) -> str:
    lines = [f.lineno for f in extract_tb(error.__traceback__) if Path(f.filename) == file]
    return f" in line {lines[-1]}" if lines else ""
