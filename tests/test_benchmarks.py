"""The benchmarks start; their measurements are not tested."""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import robench

BENCHMARKS = Path(robench.__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(path for path in BENCHMARKS.glob("*.py") if path.stem not in ("common", "plain"))


HELP_OF_EACH = """
import contextlib, io, json, runpy, sys
said = {}
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            assert not end.code, script
    said[script] = out.getvalue()
print(json.dumps(said))
"""
"""A process for all, since starting one takes longer than all that the scripts do."""


def test_each_takes_the_options_that_all_take() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_EACH, *map(str, SCRIPTS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
    )
    assert done.returncode == 0, done.stderr
    helps = {Path(script).stem: text for script, text in json.loads(done.stdout).items()}
    assert len(helps) == len(SCRIPTS) > 10
    for name, text in helps.items():
        needed = ["--quick", "--json", "--device"]
        if name in ("attacks", "autoattack", "simba"):
            needed += ["--checkpoint", "--data"]
        assert [option for option in needed if option not in text] == [], name


def test_figures_that_are_kept_are_those_of_one_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    record = importlib.import_module("autoattack").Record
    file = tmp_path / "kept.json"
    first = record(file, of="a network")
    first.of_contestant("square", "robench").seconds.append(1.5)
    first.of_contestant("square", "robench").robust = [True, False]
    assert not file.exists()
    first.write()
    again = record(file, of="a network").of_contestant("square", "robench")
    assert (again.seconds, again.robust) == ([1.5], [True, False])
    assert record(file, of="a network").of_contestant("fab-t", "robench").seconds == []
    first.of_contestant("square", "robench").version = "another"
    first.write()
    assert record(file, of="a network").of_contestant("square", "robench").seconds == []
    with pytest.raises(SystemExit, match="has figures of a network, not of another; name another"):
        record(file, of="another")
    record(None, of="another").write()


CLAIMS = tomllib.loads((BENCHMARKS / "claims.toml").read_text())["claim"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["what"])
def test_what_is_claimed_is_published(claim: dict[str, str]) -> None:
    published = " ".join((BENCHMARKS / "README.md").read_text().split())
    assert claim["sentence"] in published
    assert f"{claim['published']:g}" in claim["sentence"]
    assert (BENCHMARKS / f"{claim['script']}.py").exists()


def test_a_claim_that_nobody_makes_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "all.py", "--only", "atacks"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: no claim is about 'atacks'; did you mean 'attacks'?\n"
