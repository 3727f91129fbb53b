"""``python -m robench`` executes nothing that happens to lie in the current folder."""

import os
import subprocess
import sys
from pathlib import Path

import robench

ROOT = Path(robench.__file__).resolve().parents[1]


def test_a_module_of_the_current_folder_does_not_take_the_place_of_a_library(
    tmp_path: Path,
) -> None:
    for name in ("typer", "rich", "torch", "json"):
        (tmp_path / f"{name}.py").write_text("open('owned', 'w')\n")
    done = subprocess.run(
        [sys.executable, "-m", "robench", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "owned").exists()
