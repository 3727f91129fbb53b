"""The published tables are reproduced from their evidence, byte for byte."""

from pathlib import Path

import pytest

import robench as package
from robench.leaderboard.derived import CURVES, SPECTRA, derived_tables
from robench.leaderboard.evidence import COMPARISONS, SUMS, TABLE
from robench.leaderboard.gans.published import GanLeaderboard, holds_gans
from robench.leaderboard.gans.table import tables_text
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard, to_csv

BOARDS = sorted(
    path.parent
    for path in (Path(package.__file__).resolve().parents[1] / "leaderboards").glob(f"*/{SUMS}")
)


GANS = [folder for folder in BOARDS if holds_gans(folder)]
CLASSIFIERS = [folder for folder in BOARDS if folder not in GANS]


@pytest.mark.parametrize("folder", CLASSIFIERS, ids=lambda path: path.name)
def test_every_table_is_reproduced_as_it_was_published(folder: Path) -> None:
    board = Leaderboard.read(folder)
    comparison = compare_rows(board.result)
    table = leaderboard(board.result, comparison)
    made = {TABLE: table, COMPARISONS: comparison.pairs, **derived_tables(board.result, table)}
    assert {*board.derived} <= {*made}
    for name, found in made.items():
        text, published = to_csv(found), (folder / name).read_bytes().decode()
        if name in (TABLE, COMPARISONS, CURVES, SPECTRA):
            assert text == published, name
        else:  # in the order of the board's file, which board.json does not keep
            assert sorted(text.splitlines()) == sorted(published.splitlines()), name


@pytest.mark.parametrize("folder", GANS, ids=lambda path: path.name)
def test_every_table_of_gans_is_reproduced_as_it_was_published(folder: Path) -> None:
    for name, text in tables_text(GanLeaderboard.read(folder).computed).items():
        assert text == (folder / name).read_bytes().decode(), name
