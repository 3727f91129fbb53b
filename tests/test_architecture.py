"""The house: imports go downwards only, and nothing generic is installed."""

import ast
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import robench
import robench.defenses
import robench.layers
from robench.registry import attacks, defenses

ROOT = Path(robench.__file__).resolve().parents[1]
ENTRIES = ("robench.attacks", "robench.defenses")


def test_imports_go_downwards_only(tmp_path: Path) -> None:
    # As installed: in a checkout, attacks and defenses lie beside the package, not in it.
    package = tmp_path / "robench"
    shutil.copytree(ROOT / "robench", package)
    for folder in ("attacks", "defenses"):
        shutil.copytree(ROOT / folder, package / folder)
    done = subprocess.run(
        ["lint-imports", "--no-cache", "--config", str(ROOT / ".importlinter")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_engine_names_no_defense_and_no_attack() -> None:
    names = {*defenses, *attacks} - {"noise"}
    for file in (ROOT / "robench").rglob("*.py"):
        code = "\n".join(
            line for line in file.read_text().splitlines() if not line.strip().startswith("#")
        )
        for name in names:
            assert f'== "{name}"' not in code, f"{file} treats {name} as a special case"


def test_the_evaluator_knows_attacks_by_what_they_declare_alone() -> None:
    names = {*defenses, *attacks} - {"noise"}
    files = {*(ROOT / "robench" / "evaluation").glob("*.py")}
    for file in files - {ROOT / "robench" / "evaluation" / "cross_check.py"}:  # ours and theirs
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        found = {node.value for node in nodes if isinstance(node, ast.Constant)} & names
        assert not found, f"{file} names {found}"


def concrete_layers() -> set[str]:
    """Return the modules of robench.layers that define a module of torch's; others are maths."""
    found = set()
    for info in pkgutil.iter_modules(robench.layers.__path__, "robench.layers."):
        for value in vars(importlib.import_module(info.name)).values():
            defined = isinstance(value, type) and value.__module__ == info.name
            if defined and issubclass(value, nn.Module):
                found.add(info.name)
    return found


def imported(file: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of whatever a file below ``root`` imports, also in functions.

    ``from a import b`` yields ``a.b`` as well, since ``b`` may be a module.
    """
    package = ("robench", *file.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield node.lineno, source
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def imports_of_concrete_ones(root: Path) -> list[str]:
    """Return where the engine below ``root`` imports a concrete layer, a defense or an attack."""
    layers = concrete_layers()
    return [
        f"{file.relative_to(root)}:{line} imports {name}"
        for file in sorted(root.rglob("*.py"))
        if file.relative_to(root).parts[0] not in ("layers", "kernels", "attacks", "defenses")
        for line, name in imported(file, root)
        if name in layers or any(f"{name}.".startswith(f"{entry}.") for entry in ENTRIES)
    ]


def test_the_engine_imports_no_concrete_layer_and_no_entry() -> None:
    assert "robench.layers.convnorm" in concrete_layers()
    assert "robench.layers.circular" not in concrete_layers()
    assert imports_of_concrete_ones(ROOT / "robench") == []


@pytest.mark.parametrize("line", [
    "from robench.layers.convnorm import ConvNorm2d",
    "from robench.layers import circular, cayley",
    "import robench.layers.residual as residual",
    "from ..layers.convnorm import ConvNorm2d",
    "from ..layers import convnorm",
    "def late():\n    from robench.attacks.pgd import PGD",
    "def late():\n    import robench.defenses",
    "from robench import attacks",
    "if TYPE_CHECKING:\n    from robench.defenses import ConvNorm",
])  # fmt: skip
def test_an_import_of_a_concrete_one_is_found(tmp_path: Path, line: str) -> None:
    for folder in ("evaluation", "layers"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "planted.py").write_text(f'"""Planted."""\n\n{line}\n')
    found = imports_of_concrete_ones(tmp_path)
    assert found
    assert all(place.startswith("evaluation/planted.py:") for place in found)  # layers/ may


def test_an_import_of_maths_and_of_registries_is_none(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(
        "from robench.layers.circular import symbol\n"
        "from robench.layers.foldable import Foldable\n"
        "from robench.registry import attacks, defenses\n"
        "import robench.attack_tools.losses\n"
    )
    assert imports_of_concrete_ones(tmp_path) == []


LOWER_ROOMS = {"base", "errors", "registry"}
"""Where the public names that any entry may import are defined."""

MAY_IMPORT = {
    "attacks": LOWER_ROOMS | {"certificates"},
    "defenses": LOWER_ROOMS,
    "robench/backbones": LOWER_ROOMS,
    "robench/training/methods": LOWER_ROOMS,
    "robench/datasets": LOWER_ROOMS | {"data"},
    "robench/checks/entries": LOWER_ROOMS | {"checks", "evaluation", "models"},
}


def public_homes() -> dict[str, str]:
    """Return the room in which each public name is defined."""
    stub = ast.parse((ROOT / "robench" / "__init__.pyi").read_text())
    return {
        alias.name: str(node.module).split(".")[0]
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def public_imports_from_above(root: Path) -> list[str]:
    """Return where entries below ``root`` take a public name of a room that is above them.

    import-linter sees ``from robench import evaluate`` as an import of the empty package: what the
    name stands for is imported when it is used.
    """
    homes = public_homes()
    return [
        f"{file.relative_to(root)} imports {alias.name}"
        for folder, rooms in MAY_IMPORT.items()
        for file in sorted((root / folder).glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "robench"
        for alias in node.names
        if homes.get(alias.name, alias.name) not in rooms
    ]


def test_entries_take_no_public_name_of_a_room_above_them() -> None:
    assert public_homes()["evaluate"] == "evaluation"
    assert public_imports_from_above(ROOT) == []


@pytest.mark.parametrize("folder", MAY_IMPORT)
@pytest.mark.parametrize("name", ["train", "verify", "runs", "Leaderboard"])
def test_a_public_name_from_above_is_found(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "planted.py").write_text(f"def late():\n    from robench import {name}\n")
    assert public_imports_from_above(tmp_path) == [f"{folder}/planted.py imports {name}"]


def test_an_attack_that_calls_the_evaluator_is_found(tmp_path: Path) -> None:
    (tmp_path / "attacks").mkdir()
    (tmp_path / "attacks" / "planted.py").write_text("from robench import Attack, evaluate\n")
    assert public_imports_from_above(tmp_path) == ["attacks/planted.py imports evaluate"]


def test_every_public_name_is_there() -> None:
    for name in robench.__all__:
        assert getattr(robench, name) is not None


def test_no_module_of_the_suite_shadows_a_generic_name() -> None:
    code = (
        "import importlib.util as u, sys;"
        "sys.exit(any(u.find_spec(n) for n in ('attacks', 'defenses', 'leaderboards')))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd="/", check=False)
    assert done.returncode == 0


def test_every_package_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    own = {path.parent.relative_to(ROOT) for path in (ROOT / "robench").rglob("__init__.py")}
    assert {".".join(path.parts) for path in own} <= set(listed)


IMPORTED_ALONE = """
import gc, importlib, sys
gc.disable()  # a fifth of the time; the process is short
for module in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "robench"]:
        del sys.modules[name]
    importlib.import_module(module)
"""


def late_imports() -> list[str]:
    """Return the modules that functions of the command line import when they are called."""
    files = [*(ROOT / "robench/cli").rglob("*.py"), *(ROOT / "robench/commands").glob("*.py")]
    return sorted(
        {
            str(node.module)
            for file in files
            for function in ast.walk(ast.parse(file.read_text()))
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("robench.")
        }
    )


def test_what_a_command_imports_late_can_be_imported_first() -> None:
    """A circle of imports shows only in a process that begins at the right place."""
    modules = late_imports()
    assert "robench.leaderboard.export_paper" in modules
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_ALONE, *modules],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
