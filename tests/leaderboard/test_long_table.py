"""The long table: one line per row, seed, column and test image, of the shipped quick board."""

import io
import sys
from pathlib import Path

import pandas as pd
import pytest
from support import Command

import robench as package
from robench.leaderboard.long_table import long_table, true_classes
from robench.leaderboard.published import Leaderboard

QUICK = Path(package.__file__).resolve().parents[1] / "leaderboards" / "quick"


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    return Leaderboard.read(QUICK)


def test_it_has_a_line_per_network_column_and_image(board: Leaderboard) -> None:
    table = long_table(board)
    lines = sum(len(outcomes) for cell in board.cells for outcomes in cell.outcomes.values())
    assert len(table) == lines
    assert not table.duplicated(["defense", "seed", "attack", "image"]).any()
    assert table.columns.tolist() == [
        "defense", "seed", "attack", "norm", "eps", "image", "correct", "robust", "rounded",
        "queries", "forwards", "backwards", "linf", "l2",
    ]  # fmt: skip


def test_the_leaderboard_follows_from_it(board: Leaderboard) -> None:
    robust = long_table(board).groupby(["attack", "defense"])["robust"].mean()
    for attack in ("clean", "pgd-20"):
        published = board.table.set_index("defense")[f"{attack}_mean"]
        for defense, mean in published.items():
            assert robust[attack, defense] == pytest.approx(mean, abs=1e-5)


def test_it_has_the_threat_model_of_each_attack_and_none_of_clean_images(
    board: Leaderboard,
) -> None:
    table = long_table(board)
    attacked, clean = (table[table["attack"] == name] for name in ("pgd-20", "clean"))
    assert set(zip(attacked["norm"], attacked["eps"], strict=True)) == {("linf", 0.2)}
    assert set(clean["norm"]) == {""}
    assert clean["eps"].isna().all()


def test_it_has_the_ball_within_which_a_certificate_proves() -> None:
    board = Leaderboard.read(QUICK.parent / "certified-quick")
    balls = {name: column.proves for name, column in board.columns.items() if column.proves}
    assert balls
    table = long_table(board)
    for name, ball in balls.items():
        lines = table[table["attack"] == name]
        assert len(lines)
        assert set(zip(lines["norm"], lines["eps"], strict=True)) == {tuple(ball)}


def test_the_true_class_of_an_image_is_the_same_in_every_row(
    robench: Command, board: Leaderboard
) -> None:
    done = robench("export", QUICK, "--format", "long-csv", "--labels")
    assert done.code == 0, done.err
    table = pd.read_csv(io.StringIO(done.out))
    assert (table.groupby("image")["label"].nunique() == 1).all()
    first = table[(table["attack"] == "clean") & (table["defense"] == board.cells[0].row)]
    assert first["label"].tolist() == true_classes(board).tolist()
    assert set(first["label"]) == set(range(10))


def test_parquet_has_the_same_table_to_the_bit(
    robench: Command, board: Leaderboard, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    file = tmp_path / "quick.parquet"
    done = robench("export", QUICK, "--format", "parquet", "--out", file)
    assert done.code == 0, done.err
    pd.testing.assert_frame_equal(pd.read_parquet(file), long_table(board))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--format=parquet"], "--format parquet is not text; name the file with --out"),
        (["--format=long-csv", "--beside-paper"], "leave it out with --format long-csv"),
        (["--labels"], "--labels adds a column to the tables of --format long-csv and parquet"),
        (["--data=digits"], "--data and --data-dir say where --labels are read"),
        (["--format=long-csv", "--labels", "--data=digits"], "has the fingerprint"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    robench: Command, options: list[str], sentence: str
) -> None:
    done = robench("export", QUICK, *options)
    assert done.code == 2
    assert sentence in done.err
    assert not done.out


def test_a_missing_pyarrow_is_refused_with_its_extra(
    robench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = robench("export", QUICK, "--format", "parquet", "--out", tmp_path / "x.parquet")
    assert done.code == 2
    assert "pip install 'robench[parquet]'" in done.err
    assert not list(tmp_path.iterdir())
