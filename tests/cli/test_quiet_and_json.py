"""``--quiet`` leaves the result alone; with ``--json``, standard output is nothing but JSON."""

import json
from pathlib import Path

import pytest
from support import Command

from robench.cli.options import prepare

SMALL = (
    "--defenses=batchnorm",
    "--set=training.epochs=1",
    "--set=evaluation.samples=20",
    "--set=evaluation.attacks=['pgd-4']",
    "--jobs=1",
)


def test_a_quiet_run_prints_its_table_alone(
    robench: Command, tiny_board: Path, tmp_path: Path
) -> None:
    done = robench("run", tiny_board, *SMALL, "--out", tmp_path, "--quiet")
    assert done.code == 0, done.err
    assert "[1/1]" not in done.out
    assert ": training" not in done.out
    assert "batchnorm" in done.out
    [cell] = (tmp_path / "cells").iterdir()
    options = ("--attacks=fgsm,pgd-2", "--eps=0.1", "--samples=20")
    attacked = robench("attack", cell, *options, "--json", "--out", tmp_path / "table.csv")
    assert attacked.code == 0, attacked.err
    found = json.loads(attacked.out)
    assert [row["attack"] for row in found][:3] == ["clean", "fgsm", "pgd-2"]
    assert all(0 <= row["accuracy"] <= 1 for row in found)
    assert f"wrote {tmp_path / 'table.csv'}" in attacked.err
    spectra = robench("spectra", cell, "--json", "--quiet", "--out", tmp_path / "spectra")
    assert json.loads(spectra.out)["spectra"][0]["network"] == "batchnorm"


@pytest.mark.parametrize("kind", ["defenses", "attacks", "boards", "training-methods"])
def test_entries_are_listed_as_json(robench: Command, kind: str) -> None:
    done = robench("list", kind, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert all(each["name"] and "summary" in each for each in found)
    if kind == "defenses":
        [convnorm] = [each for each in found if each["name"] == "convnorm"]
        assert isinstance(convnorm["facts"], list)
    else:  # an option of an attack may be called kind
        assert not any("kind" in each for each in found)


def test_a_plan_is_printed_as_json(robench: Command) -> None:
    done = robench("plan", "--difference", "1", "--json")
    found = json.loads(done.out)
    assert found["samples"][0]["samples"] > 0
    assert found["seeds"][0]["seeds"] > 0


def test_papers_are_listed_as_json(robench: Command, tmp_path: Path) -> None:
    found = json.loads(robench("reproduce", "--out", tmp_path, "--json").out)
    assert {"source", "item", "board", "state"} <= found[0].keys()


def test_no_color_is_honored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert prepare("cpu", [])[0].no_color
    monkeypatch.delenv("NO_COLOR")
    assert not prepare("cpu", [])[0].no_color
