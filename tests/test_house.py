"""What CONTRIBUTING.md promises of the house: small files, and one file per contribution."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template

import pytest
from order import LONGEST_FIRST

import robench
from robench import registry as registries
from robench.commands.kinds import NEW_KINDS

ROOT = Path(robench.__file__).resolve().parents[1]
SOURCES = [p for f in ("robench", "attacks", "defenses") for p in sorted((ROOT / f).rglob("*.py"))]
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 300, 60, 7


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


def code_lines(function: ast.FunctionDef) -> int:
    """Return how many lines a function has without its docstring: that is for reading."""
    first, last = function.lineno, function.end_lineno
    assert last is not None
    lines = last - first + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    assert docstring.end_lineno is not None
    return lines - (docstring.end_lineno - docstring.lineno + 1)


def parameters(function: ast.FunctionDef) -> int:
    own = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([p for p in own if p.arg not in ("self", "cls")])


def is_command(function: ast.FunctionDef) -> bool:
    """Return whether each parameter is an option of the command line."""
    return any(".command" in ast.unparse(decorator) for decorator in function.decorator_list)


def says_why(function: ast.FunctionDef, lines: list[str]) -> bool:
    """Return whether the comment above a function is about its parameters."""
    first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    above = lines[first - 4 : first - 1]
    return any(line.startswith("#") and "parameters" in line for line in above)


def test_no_file_is_long() -> None:
    long = {name_of(p): n for p in SOURCES if (n := len(p.read_text().splitlines())) > LONGEST_FILE}
    assert not long


def test_no_two_test_files_share_a_name() -> None:
    # They are imported by name: pytest collects neither of two, and only where both are run.
    names = [path.stem for path in (ROOT / "tests").rglob("test_*.py")]
    assert not [name for name in set(names) if names.count(name) > 1]


def test_the_modules_that_begin_first_are_there() -> None:
    names = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert not set(LONGEST_FIRST) - names
    assert len(set(LONGEST_FIRST)) == len(LONGEST_FIRST)


def test_no_function_is_long() -> None:
    long = [
        (name_of(path), function.name, code_lines(function))
        for path in SOURCES
        for function in functions(path)
        if code_lines(function) > LONGEST_FUNCTION and not is_command(function)
    ]
    assert not long


def test_a_public_function_with_many_parameters_says_why() -> None:
    many = [
        (name_of(path), function.name, parameters(function))
        for path in SOURCES
        for function in functions(path)
        if not function.name.startswith("_")
        and parameters(function) > MOST_PARAMETERS
        and not is_command(function)
        and not says_why(function, path.read_text().splitlines())
    ]
    assert not many


def promised() -> dict[str, int]:
    """Return how many files each contribution takes, as CONTRIBUTING.md says."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| an? ([a-z ]+) \| (\d+) \| (.*?) \|", text, re.MULTILINE)
    return {what: int(count) for what, count, _ in rows}


def test_contributing_names_every_kind_and_promises_one_file_each() -> None:
    kinds = {"data set" if kind == "dataset" else kind for kind in NEW_KINDS}
    assert set(promised()) == kinds | {"training method", "leaderboard column"}
    assert set(promised().values()) == {1}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the suite as it is installed."""
    root = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "robench", root / "robench")
    for folder in ("attacks", "defenses"):
        shutil.copytree(ROOT / folder, root / "robench" / folder)
    return root


def test_one_new_file_of_each_kind_is_found_without_touching_another(installed: Path) -> None:
    for kind in NEW_KINDS.values():
        folder = installed / "robench" / kind.folder.removeprefix("robench/")
        assert folder.is_dir()
        text = (files("robench") / "templates/new" / f"{kind.name}.py.txt").read_text()
        words = {"name": f"new_{kind.name}", "Class": "New", "folder": kind.folder}
        (folder / f"new_{kind.name}.py").write_text(Template(text).substitute(words))
    method = (ROOT / "CONTRIBUTING.md").read_text().split("# fgsm_at.py", 1)[1].split("```", 1)[0]
    (installed / "robench/training/methods/fgsm_at.py").write_text(f'"""New."""\n{method}')
    asked = {kind.plural: f"new_{kind.name}" for kind in NEW_KINDS.values()}
    asked["training_methods"] = "fgsm_at"
    assert {registries.__dict__[room] for room in asked} == set(registries.REGISTRIES)
    code = (
        "import robench.registry as r;"
        f"missing = [n for room, n in {asked}.items() if n not in vars(r)[room]];"
        "assert not missing, missing; print(r.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))


def test_the_help_does_not_wait_for_torch() -> None:
    code = "import sys; from robench.cli import app; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
