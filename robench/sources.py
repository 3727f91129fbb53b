"""The source of an entry: its file and what it imports from beside it.

Imports are read from the syntax tree; nothing is executed. Beside a file are

- the modules and packages in the folder of the entry: ``import helpers``, ``from . import a``;
- for a module of a package, the other modules of that package, and the ``__init__.py`` through
  which they are imported.

The standard library, torch, other installed packages and robench itself are not part of it. Not
seen are modules whose names are only known while the code runs, compiled extensions, and other
files that the code reads.
"""

import ast
import hashlib
import linecache
import os
import secrets
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType

from robench import normal_form
from robench.system.reading import CODE_BYTES, read_bytes

Module = tuple[str, ...]
"""The parts of a dotted name."""

_ELSEWHERE = frozenset({"robench", "torch", "torchvision"}) | sys.stdlib_module_names
"""Packages that are not beside an entry, even where a file of that name is."""

_INSTALLED = ("site-packages", "dist-packages")
"""Folders whose modules are of unrelated packages."""

_ROBENCH = Path(__file__).resolve().parent

PLUGIN_PREFIX = "robench_plugin_"
"""Begins the names of all modules of plugins; see :mod:`robench.plugin_modules`."""


def source_files(file: Path) -> dict[str, Path]:
    """Return an entry's file and what it imports from beside it, in turn.

    Returns:
        Path relative to the folder of ``file``, as POSIX writes it -> file; in alphabetical order.
        A path begins with ``..`` if it leads to a part of the package that the folder belongs to.

    Raises:
        UserError: if a file cannot be read.
    """
    entry = file.resolve()
    found, rest = {entry}, [entry]
    while rest:
        new = set(_neighbors(rest.pop(), entry.parent)) - found
        found |= new
        rest += new
    names = {Path(os.path.relpath(path, entry.parent)).as_posix(): path for path in found}
    return dict(sorted(names.items()))


def imported_modules(file: Path) -> set[str]:
    """Return the dotted names of what may be modules that a file imports, relative ones left out.

    Raises:
        UserError: if the file cannot be read.
    """
    absolute = [module for level, module in _read(file)[1] if level == 0]
    return {".".join(module[:length]) for module in absolute for length in (len(module), -1)}


def source_hash(file: Path) -> str:
    """Return a hash of an entry's source, in hexadecimal: 64 digits.

    Comments, docstrings, layout and the name of the file do not count; see
    :mod:`robench.normal_form`.

    Raises:
        UserError: if a file cannot be read.
    """
    entry = file.resolve()
    files = source_files(entry)
    hashes = {"" if path == entry else name: _read(path)[0] for name, path in files.items()}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def running_source(code: CodeType) -> str:
    """Return the hash of the source of running code: of its file, or of a notebook's cell.

    A source that cannot be found gets a hash of its own each time, so that nothing computed with
    it is taken for the result of something else.
    """
    file = Path(code.co_filename)
    if file.is_file():
        return source_hash(file)
    cell = "".join(linecache.getlines(code.co_filename)) or secrets.token_hex()
    return hashlib.sha256(_analyze(cell.encode())[0].encode()).hexdigest()


def is_beside(file: Path, entry: Path) -> bool:
    """Return whether a file is an entry's, or one that it imports from beside it, in turn.

    Raises:
        UserError: if a file cannot be read.
    """
    if not (file.is_file() and entry.is_file()):
        return False
    return file.resolve() in {entry.resolve(), *source_files(entry).values()}


def is_installed(module: str, file: Path) -> bool:
    """Return whether a module is of Python, robench, torch or an installed package."""
    return module.partition(".")[0] in _ELSEWHERE or not {*file.parts}.isdisjoint(_INSTALLED)


def _neighbors(file: Path, beside: Path) -> Iterator[Path]:
    """Yield the files that a file imports; ``beside`` is the folder of the entry."""
    package, root = _package(file)
    for level, module in _read(file)[1]:
        if level:
            outer = package[: len(package) - level + 1]
            if level <= len(package) or level == 1:
                yield from _modules(root, (*outer, *module))
        elif module[0] == "robench":
            yield from _modules(beside, _within(module[1:], beside))
        elif module[0] not in _ELSEWHERE:
            if beside.name not in _INSTALLED:
                yield from _modules(beside, module)
            if package and module[0] == package[0]:
                yield from _modules(root, module)


def _modules(folder: Path, module: Module) -> Iterator[Path]:
    """Yield the files that Python executes to import a module of a folder, as far as it exists."""
    if any(len(part.encode(errors="replace")) > 200 for part in module):
        return  # no file has such a name, and some systems refuse to look for it
    for part in module:
        if (init := folder / part / "__init__.py").is_file():
            yield init
        elif (file := folder / f"{part}.py").is_file():
            yield file
            return
        folder = folder / part
        if not folder.is_dir():
            return


def _package(file: Path) -> tuple[Module, Path]:
    """Return the package of a file and the folder that the package is in.

    The folders of the suite's entries count as folders without a package: the rest of robench is
    not beside them, and in a checkout they lie elsewhere than in an installed robench.
    """
    names: list[str] = []
    folder = file.parent
    while (folder / "__init__.py").is_file() and not _is_ours(folder):
        names.insert(0, folder.name)
        folder = folder.parent
    return tuple(names), folder


def _is_ours(folder: Path) -> bool:
    checkout = folder.parent == _ROBENCH.parent and folder.name in ("attacks", "defenses")
    return checkout or folder.is_relative_to(_ROBENCH)


def _within(module: Module, folder: Path) -> Module:
    """Return a module of robench as a module of a folder of entries; empty if it is elsewhere."""
    for length in range(1, len(module)):
        if _is_ours(folder) and folder.parts[-length:] == module[:length]:
            return module[length:]
    return ()


def _read(file: Path) -> tuple[str, tuple[tuple[int, Module], ...]]:
    return _analyze(read_bytes(file, longest=CODE_BYTES))


@cache
def _analyze(source: bytes) -> tuple[str, tuple[tuple[int, Module], ...]]:
    """Return the hash of a file's code, and what it imports: level (0: absolute) and module."""
    tree = normal_form.parse(source)
    if tree is None:
        return hashlib.sha256(source).hexdigest(), ()
    return normal_form.hash_of(tree), tuple(dict.fromkeys(_imports(tree)))


def _imports(tree: ast.Module) -> Iterator[tuple[int, Module]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, _parts(alias.name)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _parts(node.module or "")
            for alias in node.names:  # each may be a module
                yield node.level, source if alias.name == "*" else (*source, alias.name)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)).strip("."):
            yield len(name) - len(name.lstrip(".")), _parts(name)


def _imported_by_call(call: ast.Call) -> str:
    """Return the module that ``import_module("name")`` or ``__import__("name")`` names, or ""."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    first = call.args[0] if call.args else None
    if name not in ("import_module", "__import__") or not isinstance(first, ast.Constant):
        return ""
    return first.value if isinstance(first.value, str) else ""


def _parts(name: str) -> Module:
    return tuple(part for part in name.split(".") if part)
