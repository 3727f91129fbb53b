"""A published leaderboard is read back unchanged."""

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from published_board import Published

import robench
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.leaderboard.columns import SCHEMA
from robench.leaderboard.publish import write_leaderboard
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard, to_csv


def test_a_board_is_read_back_with_all_its_evidence(published: Published) -> None:
    board = robench.Leaderboard.read(published.folder)
    assert board.name == "tiny"
    assert board.dataset == "digits"
    assert next(iter(board.columns)) == "clean"
    assert board.columns["pgd-4"].threat_model == ("linf", 0.1)
    assert [cell.row for cell in board.cells] == ["batchnorm", "convnorm"]
    cell = board.cells[0]
    assert cell.specification["defense"] == "batchnorm"
    assert cell.manifest["weights_hash"]
    assert [row["epoch"] for row in cell.training] == [1]
    assert cell.checks is not None
    assert cell.checks["samples"] == 20
    assert isinstance(cell.outcomes["pgd-4"], Outcomes)
    assert (board.table["schema"] == SCHEMA).all()


def test_what_is_read_yields_the_same_table_to_the_byte(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    comparison = compare_rows(board.result)
    made = to_csv(leaderboard(board.result, comparison))
    assert made == (published.folder / "leaderboard.csv").read_text()
    assert to_csv(comparison.pairs) == (published.folder / "comparisons.csv").read_text()


def test_what_is_read_can_be_published_again_elsewhere(published: Published) -> None:
    board = Leaderboard.read(published.folder)
    other = published.folder.parent / "other" / "tiny"
    write_leaderboard(board.result, board.table, compare_rows(board.result), other)
    names = [p.relative_to(published.folder) for p in published.folder.rglob("*") if p.is_file()]
    assert all((other / n).read_bytes() == (published.folder / n).read_bytes() for n in names)


def test_publishing_again_removes_stale_files_and_leaves_the_rest(
    published: Published,
) -> None:
    board = Leaderboard.read(published.folder)
    (published.folder / "notes.md").write_text("mine")
    fewer = board.result.__class__(board.board, board.dataset, board.columns, board.result.rows[:1])
    comparison = compare_rows(fewer)
    write_leaderboard(fewer, leaderboard(fewer, comparison), comparison, published.folder)
    assert [p.name for p in (published.folder / "manifests").iterdir()] == ["batchnorm-seed0.json"]
    assert (published.folder / "notes.md").read_text() == "mine"
    assert len(Leaderboard.read(published.folder).cells) == 1


def test_a_board_that_somebody_edited_is_not_written_over(published: Published) -> None:
    board, file = Leaderboard.read(published.folder), published.folder / "board.toml"
    comparison = compare_rows(board.result)
    for text in (file.read_text(), "# my notes\n" + file.read_text()):
        file.write_text(text)
        write_leaderboard(board.result, board.table, comparison, published.folder)
        assert file.read_text() == text


def test_titles_that_differ_only_in_punctuation_keep_their_manifests(
    published: Published,
) -> None:
    board = Leaderboard.read(published.folder)
    one, other = board.result.rows
    rows = tuple(
        row.__class__(title, row.costs, row.cells) for row, title in ((one, "a-b"), (other, "a_b"))
    )
    both = board.result.__class__(board.board, board.dataset, board.columns, rows)
    comparison = compare_rows(both)
    write_leaderboard(both, leaderboard(both, comparison), comparison, published.folder)
    assert {cell.row for cell in Leaderboard.read(published.folder).cells} == {"a-b", "a_b"}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_checksums_are_those_of_sha256sum(published: Published) -> None:
    command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=published.folder, check=False).returncode == 0
    published.change("leaderboard.csv", "batchnorm", "batchnorn", sums=False)
    done = subprocess.run(command, cwd=published.folder, check=False, capture_output=True)
    assert done.returncode != 0


def test_pandas_reads_the_table_without_robench(published: Published) -> None:
    table = pd.read_csv(published.folder / "leaderboard.csv")
    assert set(table["defense"]) == {"batchnorm", "convnorm"}


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("board.json", '"dataset"', '"datasett"', "datasett"),
        ("board.json", "{", "", "not JSON"),
        ("manifests/*", '"row"', '"raw"', "raw"),
        ("manifests/*", '"seed": 0', '"seed": "x"', "cell.seed = 'x': write a whole number"),
        ("manifests/*", '"defense"', '"defence"', "'cell.defence'; did you mean 'defense'"),
        ("manifests/*", '"fgsm-', '"../fgsm-', "not a name"),
        ("SHA256SUMS", "board.json", "../board.json", "not a checksum"),
        ("SHA256SUMS", "board.json", "/board.json", "not a checksum"),
    ],
)
def test_files_of_another_form_are_refused(
    published: Published, name: str, old: str, new: str, message: str
) -> None:
    published.change(name, old, new, sums=False)
    with pytest.raises(UserError, match=message):
        Leaderboard.read(published.folder)


def test_a_folder_that_was_not_published_is_refused(published: Published) -> None:
    with pytest.raises(UserError, match=r"is not a leaderboard, but has some in it: .*tiny; name"):
        Leaderboard.read(published.store)
    with pytest.raises(UserError, match="not a folder that 'robench run' published"):
        Leaderboard.read(published.store / "cells")


@pytest.mark.parametrize("name", ["board.json", "leaderboard.csv"])
def test_a_board_without_checksums_was_run_but_cannot_be_held_against_anything(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "board.toml").touch()
    with pytest.raises(UserError, match="was not run; name the folder that a run wrote"):
        Leaderboard.read(tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(UserError, match="has lost its SHA256SUMS, so that its files cannot be"):
        Leaderboard.read(tmp_path)


def test_a_table_of_another_schema_is_refused(published: Published) -> None:
    published.change("leaderboard.csv", ",schema\n", ",schemo\n", sums=False)
    with pytest.raises(UserError, match="schema none"):
        _ = Leaderboard.read(published.folder).table
