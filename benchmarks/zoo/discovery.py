"""Finding the models of the zoo, or of a folder of other models in the same form."""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from robench import UserError
from zoo.entry import Entry, held_out

ZOO = Path(__file__).resolve().parent
HALVES = ("tuning", "held-out")


@dataclass(frozen=True)
class Model:
    """A model and what is known of it.

    Attributes:
        name: the name of its file, or its key in the ``ENTRIES`` of a file of several models.
        file: where it is.
        entry: what the file says of it.
    """

    name: str
    file: Path
    entry: Entry

    @property
    def honest(self) -> bool:
        """Whether it is what it looks like, so that every flag is a false alarm."""
        return not self.entry.causes

    @property
    def half(self) -> str:
        """Whether thresholds may have been chosen on it ("tuning") or not ("held-out")."""
        return HALVES[held_out(self.name)]


def discover(folder: Path = ZOO) -> list[Model]:
    """Return the models of a folder: the false ones first, each kind in alphabetical order.

    Args:
        folder: has ``false`` and ``honest``, or the files themselves.

    Raises:
        UserError: if there is no model, a file has none, or two have the same name.
    """
    parts = [folder / kind for kind in ("false", "honest") if (folder / kind).is_dir()]
    files = [file for part in parts or [folder] for file in sorted(part.glob("[!_]*.py"))]
    models = [model for file in files for model in _models_of(file)]
    if not models:
        raise UserError(f"there is no model in {folder}; name a folder of files with an ENTRY.")
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two models of {folder} are named '{twice[0]}'; rename one of them.")
    return sorted(models, key=lambda model: (model.honest, model.name))


def _models_of(file: Path) -> list[Model]:
    module = _imported(file)
    one = {file.stem: module.ENTRY} if hasattr(module, "ENTRY") else {}
    entries = {**one, **getattr(module, "ENTRIES", {})}
    if not entries:
        raise UserError(f"{file} has neither ENTRY nor ENTRIES; see benchmarks/zoo/entry.py.")
    return [Model(name, file, entry) for name, entry in entries.items()]


def _imported(file: Path) -> ModuleType:
    if file.parent.parent == ZOO:
        return importlib.import_module(f"zoo.{file.parent.name}.{file.stem}")
    spec = importlib.util.spec_from_file_location(f"zoo_of_others_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
