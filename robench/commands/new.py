"""``robench new``: write a commented, working entry and its test."""

from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from robench import registry as registries
from robench.commands.kinds import NEW_KINDS
from robench.errors import UserError
from robench.registry import Registry
from robench.system.files import write_text


def write_entry(kind: str, name: str, root: Path = Path()) -> list[Path]:
    """Write an entry and its test.

    They are ``defenses/<name>.py`` and ``tests/defenses/test_<name>_defense.py`` for a defense.
    In a checkout of the suite, an entry goes next to the built-in ones, such as in
    ``robench/datasets/``; elsewhere, into a folder named after the kind.

    Args:
        kind: one of :data:`robench.commands.kinds.NEW_KINDS`.
        name: the name that the entry is registered under.
        root: the folder that contains (or will contain) the kind's folder and ``tests/``.

    Returns:
        The files written.

    Raises:
        UserError: if the name is taken or not valid, or a file already exists.
    """
    plural = NEW_KINDS[kind].plural
    # Outside a checkout, a folder "robench" would be taken for the package.
    folder = NEW_KINDS[kind].folder if (root / NEW_KINDS[kind].folder).is_dir() else plural
    registry: Registry[Any] = getattr(registries, plural)
    if name in registry:
        raise UserError(
            f"the {kind} '{name}' already exists in {registry.get(name).file}; choose another name."
        )
    registry.register(name)  # rejects an invalid name before anything is written
    entry = root / folder / f"{name}.py"
    # The kind is in its name since pytest refuses two files of one name in one run.
    test = root / "tests" / plural / f"test_{name}_{kind}.py"
    for path in (entry, test):
        if path.exists():
            raise UserError(f"{path} already exists; choose another name or remove it.")
    words = {
        "name": name,
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "folder": folder,
    }
    templates = files("robench") / "templates/new"
    for path, template in ((entry, f"{kind}.py.txt"), (test, f"test_{kind}.py.txt")):
        text = (templates / template).read_text(encoding="utf-8")
        write_text(path, Template(text).substitute(words))
    return [entry, test]
