"""The benchmarks start; their measurements are not tested."""

import subprocess
import sys
from pathlib import Path

import pytest

import robench

SCRIPTS = sorted(
    path
    for path in (Path(robench.__file__).resolve().parents[1] / "benchmarks").glob("*.py")
    if path.stem not in ("common", "plain")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_takes_the_options_that_all_take(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for option in ("--quick", "--json", "--device"):
        assert option in done.stdout
    if script.stem in ("attacks", "autoattack", "simba"):
        assert "--checkpoint" in done.stdout
        assert "--data" in done.stdout
