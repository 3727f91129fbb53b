"""The house: imports go downwards only, and nothing generic is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import robench
import robench.defenses
from robench.registry import attacks, defenses

ROOT = Path(robench.__file__).resolve().parents[1]


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
