"""The modules of plugins, which import their neighbors under names that nothing else uses.

A plugin ``/home/me/mine.py`` becomes the module ``robench_plugin_HASH.mine``, where the hash is
that of its folder; ``import helpers`` in it imports the ``helpers.py`` beside it as
``robench_plugin_HASH.helpers``. Its folder is never put on ``sys.path``: a neighbor called
``json.py`` or ``torch.py`` replaces nothing and is not found by anyone else, and two plugins in two
folders do not mix. All of these modules are in ``sys.modules``, where dataclasses and pickle look
them up.

Only source files are executed, never cached bytecode: what runs is what was hashed and read.
"""

import builtins
import hashlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import packages_distributions
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from robench.sources import PLUGIN_PREFIX, source_files


@dataclass(frozen=True)
class _Home:
    """The folder that a plugin's modules are in.

    Attributes:
        name: the name of the package that the modules belong to.
        root: the folder of that package: the plugin's, or the one that the plugin's own package is
            in.
        package: the plugin's own package, if it imports from it.
    """

    name: str
    root: Path
    package: tuple[str, ...]

    @property
    def beside(self) -> str:
        """The package of the modules that are beside the plugin."""
        return ".".join((self.name, *self.package))


_HOMES: dict[str, _Home] = {}
"""Name -> folder, for all plugins that were imported."""


def import_plugin(file: Path) -> ModuleType:
    """Execute a plugin's file as a module, and return it.

    If it raises, none of the modules that it imported from beside it stays in ``sys.modules``.

    Args:
        file: an existing ``.py`` file, as an absolute path.

    Raises:
        Exception: whatever the file raises.
    """
    home = _home_of(file)
    _HOMES[home.name] = home
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    before = set(sys.modules)
    try:
        return importlib.import_module(f"{home.beside}.{file.stem}")
    except BaseException:
        _remove(home, before)
        raise


def forget_plugin(file: Path) -> None:
    """Remove a plugin and its neighbors from ``sys.modules``, so that it can be imported anew."""
    files = {str(path) for path in plugin_tree(file)[1]}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _HOMES and getattr(module, "__file__", None) in files:
            del sys.modules[name]


def plugin_tree(file: Path) -> tuple[Path, set[Path]]:
    """Return the folder that a plugin's modules are in, and the files of all of them.

    They are the file itself and what it imports from beside it, in turn. With these files at the
    same places below another folder, the plugin runs from there.

    Raises:
        UserError: if a file cannot be read.
    """
    file = file.resolve()
    home = _home_of(file)
    found = set(source_files(file).values())
    for depth in range(1, len(home.package) + 1):
        # Python executes these before the plugin, whether the plugin names them or not.
        init = home.root.joinpath(*home.package[:depth], "__init__.py")
        found |= set(source_files(init).values())
    return home.root, found


def _home_of(file: Path) -> _Home:
    package: tuple[str, ...] = ()
    root = file.parent
    inits: set[Path] = set()
    while (init := root / "__init__.py").is_file():
        inits.add(init)
        package, root = (root.name, *package), root.parent
    # The __init__.py of its package is executed only if the plugin imports from its package.
    if inits.isdisjoint(source_files(file).values()):
        package, root = (), file.parent
    digest = hashlib.sha256("\n".join((str(root), *package)).encode()).hexdigest()
    return _Home(f"{PLUGIN_PREFIX}{digest[:8]}", root, package)


def _remove(home: _Home, kept: set[str]) -> None:
    for name in set(sys.modules) - kept:
        if name.partition(".")[0] == home.name:
            del sys.modules[name]


class _Finder:
    """Finds the modules in the folders of plugins, on ``sys.meta_path``."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of a module in a plugin's folder; None for all others."""
        home = _HOMES.get(name.partition(".")[0])
        if home is None:
            return None
        if name == home.name:
            return _folder(name, home.root)
        *_, last = name.split(".")
        for folder in map(Path, path or ()):
            if (found := _file(folder, last)) is not None:
                inner = [str(found.parent)] if found.name == "__init__.py" else None
                loader = _Loader(name, str(found))
                return spec_from_file_location(
                    name, found, loader=loader, submodule_search_locations=inner
                )
            if (folder / last).is_dir():
                return _folder(name, folder / last)
        return None


class _Loader(SourceFileLoader):
    """Compiles a plugin's source file anew, with imports that look beside the plugin first."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the source file, whatever is in ``__pycache__``."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module; its ``import`` statements find the plugin's neighbors."""
        home = _HOMES[module.__name__.partition(".")[0]]
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importer(home)}
        super().exec_module(module)


def _importer(home: _Home) -> Any:
    """Return what the ``import`` statements of a plugin call, in the place of ``__import__``."""

    def import_module(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        first = name.partition(".")[0]
        inside = None if level else _package_with(home, first)
        if inside is None:
            return __import__(name, globals, locals, fromlist or (), level)
        module = __import__(f"{inside}.{name}", globals, locals, fromlist or (), 0)
        # Without a list of names, "import a.b" binds "a".
        return module if fromlist else sys.modules[f"{inside}.{first}"]

    return import_module


def _package_with(home: _Home, first: str) -> str | None:
    """Return the package in which a neighbor called ``first`` is; None if it is no neighbor."""
    if first in home.package[:1]:
        return home.name
    beside = home.root.joinpath(*home.package)
    there = _file(beside, first) is not None or (beside / first).is_dir()
    return home.beside if there and not _is_installed(first) else None


@cache
def _is_installed(name: str) -> bool:
    """Return whether a module belongs to Python, robench or an installed package."""
    if name in sys.stdlib_module_names or name in ("robench", "torch", "torchvision"):
        return True
    return name in packages_distributions()


def _file(folder: Path, name: str) -> Path | None:
    """Return the source file of a module in a folder."""
    files = (folder / name / "__init__.py", folder / f"{name}.py")
    return next((file for file in files if file.is_file()), None)


def _folder(name: str, folder: Path) -> ModuleSpec:
    """Return the specification of a package without an ``__init__.py``."""
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec
