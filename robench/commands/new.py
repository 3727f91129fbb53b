"""``robench new``: writes a commented, working entry and its test."""

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
    """Write an entry and its test, as ``defenses/<name>.py`` and ``tests/defenses/test_<name>.py``.

    In a checkout of the suite an entry goes where the suite's own are, as ``robench/datasets/``;
    anywhere else into a folder of the kind's name.

    Args:
        kind: one of :data:`robench.commands.kinds.NEW_KINDS`.
        name: what boards will call it.
        root: the folder that holds (or will hold) the kind's folder and ``tests/``.

    Returns:
        The files written.

    Raises:
        UserError: where the name is taken or not a name, or a file is there already.
    """
    room = NEW_KINDS[kind].room
    # Elsewhere than in a checkout, a folder "robench" would be taken for the package.
    folder = NEW_KINDS[kind].folder if (root / NEW_KINDS[kind].folder).is_dir() else room
    registry: Registry[Any] = getattr(registries, room)
    if name in registry:
        raise UserError(
            f"a {kind} named '{name}' exists in {registry.get(name).file}; choose another name."
        )
    registry.register(name)  # refuses what is not a name, before anything is written
    entry = root / folder / f"{name}.py"
    test = root / "tests" / room / f"test_{name}.py"
    for path in (entry, test):
        if path.exists():
            raise UserError(f"{path} is there already; choose another name or remove it.")
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
