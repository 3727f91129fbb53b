"""A plugin imports the files beside it; they are found by it alone and replace nothing."""

import importlib.util
import json
import pickle
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from torch.utils.data import DataLoader

import robench.registry as module
from robench.errors import UserError
from robench.plugins import load_plugin, loaded_plugins, registrations_undone
from robench.registry import defenses

PLUGIN = """
from dataclasses import dataclass
from robench import Defense, register_defense
{imports}

@register_defense("{name}", reference="me")
@dataclass(frozen=True)
class Mine(Defense):
    \"\"\"Does what its neighbor says.\"\"\"

    strength: float = {value}
"""


def write(folder: Path, **files: str) -> Path:
    """Write ``a_in_b="..."`` as ``b/a.py``; return the folder."""
    for name, text in files.items():
        file, _, inside = name.partition("_in_")
        path = folder.joinpath(*inside.split("_in_")[::-1], f"{file}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def plugin(folder: Path, imports: str, value: str, name: str = "plugged") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.py"
    path.write_text(PLUGIN.format(imports=imports, value=value, name=name))
    return path


def strength(name: str = "plugged") -> float:
    return float(defenses.build(name).strength)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("imports", "value"),
    [
        ("import helpers", "helpers.STRENGTH"),
        ("import helpers as h", "h.STRENGTH"),
        ("from helpers import STRENGTH", "STRENGTH"),
        ("from helpers import *", "STRENGTH"),
        ("from .helpers import STRENGTH", "STRENGTH"),
        ("from . import helpers", "helpers.STRENGTH"),
        ("import parts.inner", "parts.inner.STRENGTH"),
        ("import parts.inner as p", "p.STRENGTH"),
        ("from parts.inner import STRENGTH", "STRENGTH"),
        ("from parts import inner", "inner.STRENGTH"),
        ("from plain.inner import STRENGTH", "STRENGTH"),
    ],
)
def test_a_plugin_imports_a_neighbor_in_every_way(tmp_path: Path, imports: str, value: str) -> None:
    # Each neighbor imports a neighbor of the plugin in turn.
    write(
        tmp_path,
        helpers="from constants import STRENGTH",
        constants="STRENGTH = 3.0",
        __init___in_parts="",
        inner_in_parts="from constants import STRENGTH",
        inner_in_plain="import constants\nSTRENGTH = constants.STRENGTH",
    )
    load_plugin(plugin(tmp_path, imports, value))
    assert strength() == 3.0


def test_a_function_of_a_plugin_imports_a_neighbor_when_it_is_called(tmp_path: Path) -> None:
    write(tmp_path, late="STRENGTH = 4.0")
    path = plugin(tmp_path, "def late():\n    import late as found\n    return found.STRENGTH", "0")
    load_plugin(path)
    [loaded] = [m for m in sys.modules.values() if getattr(m, "__file__", None) == str(path)]
    assert loaded.late() == 4.0


def test_a_plugin_of_a_package_imports_from_its_package(tmp_path: Path) -> None:
    write(
        tmp_path,
        __init___in_mylab="BASE = 1.0",
        common_in_mylab="from mylab import BASE\nSTRENGTH = BASE + 1",
        __init___in_defenses_in_mylab="",
    )
    path = plugin(
        tmp_path / "mylab" / "defenses",
        "from ..common import STRENGTH\nfrom mylab.common import STRENGTH as SAME",
        "STRENGTH + SAME",
    )
    load_plugin(path)
    assert strength() == 4.0


def test_the_init_of_a_folder_that_a_plugin_does_not_import_from_is_not_executed(
    tmp_path: Path,
) -> None:
    write(tmp_path, __init__="raise RuntimeError('executed')")
    load_plugin(plugin(tmp_path, "", "2.0"))
    assert strength() == 2.0


@pytest.mark.parametrize("name", ["json", "torch", "numpy", "robench", "typing"])
def test_a_neighbor_does_not_replace_an_installed_module(tmp_path: Path, name: str) -> None:
    write(tmp_path, **{name: f"raise RuntimeError('the wrong {name}')"})
    before = sys.modules.get(name)
    load_plugin(plugin(tmp_path, f"import {name}", "5.0"))
    assert strength() == 5.0
    assert sys.modules[name] is before


def test_neighbors_are_found_by_their_plugin_alone(tmp_path: Path) -> None:
    write(tmp_path, a_neighbor="STRENGTH = 6.0")
    path = list(sys.path)
    load_plugin(plugin(tmp_path, "import a_neighbor", "a_neighbor.STRENGTH"))
    assert sys.path == path
    assert "a_neighbor" not in sys.modules
    assert importlib.util.find_spec("a_neighbor") is None


def test_neighbors_of_one_name_in_two_folders_do_not_mix(tmp_path: Path) -> None:
    for index, name in enumerate(("first", "second")):
        write(tmp_path / name, helpers=f"STRENGTH = {index + 1}.0")
        load_plugin(plugin(tmp_path / name, "import helpers", "helpers.STRENGTH", name))
    assert (strength("first"), strength("second")) == (1.0, 2.0)


def test_two_plugins_of_one_folder_share_a_neighbor(tmp_path: Path) -> None:
    write(
        tmp_path,
        helpers="counted = []",
        one=PLUGIN.format(imports="import helpers\nhelpers.counted.append(1)", name="a", value=1),
        two=PLUGIN.format(imports="import helpers\nhelpers.counted.append(2)", name="b", value=2),
    )
    for name in ("one", "two"):
        load_plugin(tmp_path / f"{name}.py")
    [helpers] = [m for name, m in sys.modules.items() if name.endswith(".helpers")
                 and str(m.__file__) == str(tmp_path / "helpers.py")]  # fmt: skip
    assert helpers.counted == [1, 2]


def test_what_a_neighbor_registers_belongs_to_the_plugin(tmp_path: Path) -> None:
    plugin(tmp_path, "", "2.0")
    write(tmp_path, both="import mine")
    load_plugin(tmp_path / "both.py")
    assert strength() == 2.0
    assert defenses.source_identity("plugged") is not None


def test_objects_of_a_neighbor_can_be_pickled_and_loaded_by_workers(tmp_path: Path) -> None:
    write(
        tmp_path,
        items="""
            from dataclasses import dataclass

            @dataclass
            class Items:
                count: int

                def __len__(self) -> int:
                    return self.count

                def __getitem__(self, index: int) -> int:
                    import squares
                    return squares.square(index)
            """,
        squares="def square(x):\n    return x * x",
    )
    path = plugin(tmp_path, "from items import Items", "1.0")
    load_plugin(path)
    [loaded] = [m for m in sys.modules.values() if getattr(m, "__file__", None) == str(path)]
    items = loaded.Items(4)
    assert pickle.loads(pickle.dumps(items)) == items
    batches = DataLoader(items, batch_size=2, num_workers=1, multiprocessing_context="fork")
    assert [batch.tolist() for batch in batches] == [[0, 1], [4, 9]]


def test_cached_bytecode_is_neither_written_nor_executed(tmp_path: Path) -> None:
    write(tmp_path, helpers="STRENGTH = 1.0")
    path = plugin(tmp_path, "import helpers", "helpers.STRENGTH")
    load_plugin(path)
    assert not (tmp_path / "__pycache__").exists()


def test_a_plugin_that_raises_in_a_neighbor_leaves_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path, helpers="x = 1\nraise ValueError('not today')")
    path = plugin(tmp_path, "import json\nimport helpers", "1.0")
    with pytest.raises(UserError, match=r"mine\.py' raises in line 5: ValueError: not today"):
        load_plugin(path)
    assert not any(str(getattr(m, "__file__", "")).startswith(str(tmp_path))
                   for m in sys.modules.values())  # fmt: skip
    write(tmp_path, helpers="STRENGTH = 7.0")
    path.write_text(PLUGIN.format(imports="import helpers", value="helpers.STRENGTH",
                                  name="plugged"))  # fmt: skip
    load_plugin(path)
    assert strength() == 7.0


def test_a_plugin_that_raises_after_it_has_registered_leaves_no_entry(tmp_path: Path) -> None:
    write(tmp_path, helpers=PLUGIN.format(imports="", name="helping", value="1.0"))
    load_plugin(tmp_path / "helpers.py")
    path = plugin(tmp_path, "import helpers", "2.0\n\nraise ValueError('too late')")
    with pytest.raises(UserError, match="ValueError: too late"):
        load_plugin(path)
    assert "plugged" not in defenses
    assert path not in loaded_plugins()
    assert strength("helping") == 1.0  # of a plugin that was loaded before
    load_plugin(plugin(tmp_path, "import helpers", "3.0"))
    assert strength() == 3.0
    assert path in loaded_plugins()


def test_a_plugin_is_executed_anew_if_a_neighbor_has_changed_or_its_entries_are_gone(
    tmp_path: Path,
) -> None:
    write(tmp_path, helpers="STRENGTH = 1.0", counter="times = []")
    path = plugin(tmp_path, "import counter, helpers\ncounter.times.append(1)", "helpers.STRENGTH")
    load_plugin(path)
    first = defenses.get("plugged").build
    load_plugin(path)
    assert defenses.get("plugged").build is first
    write(tmp_path, helpers="STRENGTH = 2.0")
    load_plugin(path)
    assert strength() == 2.0
    with registrations_undone():
        load_plugin(path)
        assert strength() == 2.0
    defenses.forget(path)
    module.plugin_files.discard(str(path))
    load_plugin(path)
    assert strength() == 2.0


def test_a_missing_neighbor_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No module named 'not_there'"):
        load_plugin(plugin(tmp_path, "import not_there", "1.0"))
    assert json.__name__ == "json"
