"""The notebook runs from its first cell to its last, and is kept without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from docs.site.notebook import as_page, as_program
from docs.site.pages import ROOT

NOTEBOOK = (ROOT / "docs" / "tutorials" / "notebook.ipynb").read_text(encoding="utf-8")


def test_it_runs_and_shows_a_table_of_both_networks(tmp_path: Path) -> None:
    # As a program of its own, since it registers a defense and draws from torch's generator.
    program = tmp_path / "notebook.py"
    program.write_text(as_program(NOTEBOOK), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "batchnorm\n" in done.stdout
    assert "my_norm\n" in done.stdout
    assert done.stdout.count("worst case (linf") == 2
    assert "same_logits passed" in done.stdout


def test_it_is_kept_without_outputs() -> None:
    code = [cell for cell in json.loads(NOTEBOOK)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_as_a_page_its_code_is_in_blocks() -> None:
    page = as_page(NOTEBOOK)
    assert page.startswith("# A defense in a notebook\n")
    assert page.count("```python\n") == 5
    assert page.count("```") == 10
