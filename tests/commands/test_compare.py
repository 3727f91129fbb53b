"""``robench compare`` on boards of this repository, from the command line."""

import json
from pathlib import Path

import pandas as pd
import pytest
from support import Command

ROOT = Path(__file__).resolve().parents[2] / "leaderboards"
FIRST, SECOND, OTHER = (ROOT / f"paper-{n}" for n in ("table1-cpu", "table1-gpu", "table6-cpu"))


def test_two_boards_side_by_side_as_table_json_csv_and_page(
    robench: Command, tmp_path: Path
) -> None:
    page, csv = tmp_path / "a.html", tmp_path / "a.csv"
    done = robench("compare", FIRST, SECOND, "--json", "--out", page, "--csv", csv)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["boards"] == [FIRST.name, SECOND.name]
    settings = {line["setting"]: line for line in found["settings"]}
    assert (settings["model.width"][FIRST.name], settings["model.width"][SECOND.name]) == (
        "16", "64",
    )  # fmt: skip
    figures = pd.read_csv(csv)
    lines = found["pairs"][0]["differences"]
    assert len(figures) == len(lines)
    for board, name in ((FIRST, "first"), (SECOND, "second")):
        table = pd.read_csv(board / "leaderboard.csv").set_index("defense")
        samples = table["samples"].iloc[0]
        for line in lines:
            mean = table.loc[line["defense"], f"{line['column']}_mean"]
            assert line[name] == pytest.approx(
                mean, abs=1e-6 if samples == line["images"] else 0.03
            )
    assert page.read_text().lstrip().startswith("<!doctype html>")
    assert "wrote" in done.err


def test_the_table_names_rows_settings_and_what_is_not_compared(robench: Command) -> None:
    done = robench("compare", FIRST, SECOND)
    assert done.code == 0, done.err
    for words in (
        "training.epochs",
        "convnorm",
        "Kendall's tau",
        "Only paper-table1-cpu has the rows",
        "worst_case is not compared",
        "N = 2 boards: low power",
        "Paired:",
    ):
        assert words in done.out


def test_bad_input_is_one_sentence_and_nothing_is_written(robench: Command, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    for arguments, said in (
        ((FIRST,), "needs two boards"),
        ((FIRST, FIRST), "named twice"),
        ((FIRST, tmp_path), "not a folder that 'robench run' published"),
        ((FIRST, OTHER), "no row in common"),
        ((FIRST, SECOND, "--csv", tmp_path), "it is a folder"),
    ):
        done = robench("compare", *arguments, "--out", page)
        assert done.code == 2, arguments
        assert said in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not page.exists()
