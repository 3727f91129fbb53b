"""Plugins: a user's own Python files (``--plugin FILE``) that register entries."""

import importlib.util
import sys
from pathlib import Path
from traceback import extract_tb
from typing import Any

from robench.errors import UserError
from robench.registry import REGISTRIES, as_name, plugin_files


def load_plugin(path: str | Path) -> None:
    """Import a user's file, so that boards can name the entries that it registers.

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
        return
    name = f"robench_plugin_{as_name(file.stem)}"
    spec = importlib.util.spec_from_file_location(name, file)
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


def _same_file(module: Any, file: Path) -> bool:
    other = getattr(module, "__file__", None)
    return bool(other) and Path(str(other)).resolve() == file


def _line_in(error: BaseException, file: Path) -> str:
    lines = [f.lineno for f in extract_tb(error.__traceback__) if Path(f.filename) == file]
    return f" in line {lines[-1]}" if lines else ""
