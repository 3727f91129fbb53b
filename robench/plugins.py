"""Plugins: a user's own Python files (``--plugin FILE``) that register entries."""

import sys
from pathlib import Path
from traceback import extract_tb
from typing import Any

from robench.errors import UserError
from robench.plugin_modules import import_plugin
from robench.registry import REGISTRIES, plugin_files
from robench.sources import source_files


def load_plugin(path: str | Path) -> None:
    """Import a user's file, so that boards can name the entries that it registers.

    It may import the modules that are beside it; see :mod:`robench.plugin_modules`.

    Raises:
        UserError: if there is no such Python file or it raises.
    """
    file = Path(path).resolve()
    if not file.is_file() or file.suffix != ".py":
        raise UserError(f"plugin '{path}' is not an existing Python file; name a .py file.")
    if "." in file.stem:
        raise UserError(f"plugin '{path}' has a second dot in its name; rename it.")
    for registry in REGISTRIES:
        registry.discover()
    plugin_files.update(str(source) for source in source_files(file).values())
    if any(_same_file(module, file) for module in list(sys.modules.values())):
        return
    try:
        import_plugin(file)
    except UserError:
        raise
    except Exception as error:
        line = _line_in(error, file)
        raise UserError(f"plugin '{path}' raises{line}: {type(error).__name__}: {error}") from error


def _same_file(module: Any, file: Path) -> bool:
    other = getattr(module, "__file__", None)
    return bool(other) and Path(str(other)).resolve() == file


def _line_in(error: BaseException, file: Path) -> str:
    lines = [f.lineno for f in extract_tb(error.__traceback__) if Path(f.filename) == file]
    return f" in line {lines[-1]}" if lines else ""
