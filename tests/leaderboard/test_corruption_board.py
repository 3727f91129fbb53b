"""A board with corruptions: their mean ranks, and every figure of it can be checked."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from forging import forge, made_consistent
from page_boards import COLUMNS as INVENTED
from page_boards import Invented, invent
from published_board import BOARD, FIRST, Published
from support import Command, few_queries, shared_folder

from robench.base import ThreatModel
from robench.board.loading import read_board
from robench.board.plan import build_attacks
from robench.errors import UserError
from robench.leaderboard.audit import audit
from robench.leaderboard.audit.corrupted import corruption_problems
from robench.leaderboard.order import shown_columns
from robench.leaderboard.page.corruptions import corruption_tables
from robench.leaderboard.page.write import render
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard
from robench.runs.records import EvaluatedColumn
from robench.runs.run import run_board
from robench.runs.steps import accuracies

ATTACKS = """attacks = ["fgsm", "corruption(kind='contrast')", "corruption(kind='gaussian_noise')"]
rank_by = "corruption"
"""
LEVELS = range(1, 6)
COLUMNS = [f"corruption(kind='{k}', severity={s})" for k in ("contrast", "gaussian_noise")
           for s in LEVELS]  # fmt: skip


def with_corruptions(board: str) -> str:
    lines = [line for line in board.splitlines() if not line.startswith(("attacks =", "rank_by ="))]
    at = lines.index("[evaluation]") + 1
    text = "\n".join([*lines[:at], ATTACKS, *lines[at:]])
    return text.replace("check_samples = 20", "checks = false")


@pytest.fixture(scope="module")
def corrupted(finished_board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a published board, whose networks were trained for another."""
    with shared_folder("corruption_board", tmp_path_factory) as (root, is_new), few_queries():
        if is_new:
            root.mkdir()
            shutil.copytree(finished_board / "cells", root / "cells")
            (root / "tiny.toml").write_text(with_corruptions(BOARD))
            publish(run_board(read_board(root / "tiny.toml"), out=root), root / "tiny")
    return root / "tiny"


@pytest.fixture
def folder(corrupted: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(corrupted, tmp_path / "tiny"))


def test_a_call_in_the_file_becomes_one_column_per_severity(corrupted: Path) -> None:
    board = Leaderboard.read(corrupted)
    assert board.board.evaluation.columns == ("clean", "fgsm", *COLUMNS)
    assert [name for name, column in board.columns.items() if column.corrupts] == COLUMNS
    assert json.loads((corrupted / "board.json").read_text())["columns"]["fgsm"].keys() == {
        "threat_model", "reports_queries",
    }  # fmt: skip


def test_the_mean_is_that_of_the_columns_and_ranks(corrupted: Path) -> None:
    table = Leaderboard.read(corrupted).table
    for _, row in table.iterrows():
        mean = np.mean([row[f"{column}_mean"] for column in COLUMNS])
        assert row["corruption_mean"] == pytest.approx(mean, abs=1e-6)
        assert row["corruption_low"] < row["corruption_mean"] < row["corruption_high"]
    assert table["corruption_mean"].is_monotonic_decreasing
    assert Leaderboard.read(corrupted).comparisons["method"].unique().tolist() == ["t-test"]


def test_the_difference_of_two_rows_is_that_of_their_means(corrupted: Path) -> None:
    board = Leaderboard.read(corrupted)
    means = board.table.set_index("defense")["corruption_mean"]
    for pair in board.comparisons.itertuples():
        assert pair.difference == pytest.approx(means[pair.first] - means[pair.second], abs=2e-6)
        assert pair.low <= pair.difference <= pair.high


def test_short_tables_show_the_mean_alone(corrupted: Path) -> None:
    board = Leaderboard.read(corrupted)
    assert shown_columns(board.board, board.table) == ["clean", "fgsm", "corruption"]


def test_short_tables_show_certificates_beside_the_mean(corrupted: Path, tmp_path: Path) -> None:
    attacks = ATTACKS.replace('"fgsm"', '"fgsm", "certified(radius=0.1)"')
    text = with_corruptions(BOARD).replace(ATTACKS, attacks)
    (tmp_path / "both.toml").write_text(text)
    board, table = read_board(tmp_path / "both.toml"), Leaderboard.read(corrupted).table
    assert "fgsm_rounded" in table
    assert "certified(radius=0.1)_rounded" not in table, "no figure tells it from a corruption"
    wanted = ["clean", "fgsm", "certified(radius=0.1)", "corruption"]
    assert shown_columns(board, table) == wanted


def test_corruptions_of_a_plugin_that_is_not_loaded_are_left_out(corrupted: Path) -> None:
    board = Leaderboard.read(corrupted)
    unknown = [
        name.replace("corruption(", "fog_of_mine(") for name in board.board.evaluation.attacks
    ]
    evaluation = board.board.evaluation.model_copy(update={"attacks": tuple(unknown)})
    elsewhere = board.board.model_copy(update={"evaluation": evaluation})
    assert shown_columns(elsewhere, board.table) == ["clean", "fgsm", "corruption"]
    proof = next(name for name in unknown if name.startswith("fog_of_mine"))
    recorded = {proof: EvaluatedColumn(proves=ThreatModel("l2", 0.1))}
    shown = shown_columns(elsewhere, board.table, recorded)
    assert set(shown) == {"clean", "fgsm", proof, "corruption"}, "a certificate, as is recorded"


def test_verify_runs_them_again(corrupted: Path, robench: Command) -> None:
    result = robench("verify", str(corrupted), "--rows", "1", "--seed", FIRST)
    assert result.code == 0, result.out


def test_the_page_has_means_by_kind_and_figures_by_severity(corrupted: Path) -> None:
    board = Leaderboard.read(corrupted)
    tables = corruption_tables(board)
    assert tables is not None
    assert tables.kinds.heads == ("contrast", "gaussian noise")
    assert tables.severities == "1, 2, 3, 4 and 5"
    best = board.table.iloc[0]
    name, figures = tables.kinds.rows[0]
    assert name == best["defense"]
    noise = np.mean([best[f"{column}_mean"] for column in COLUMNS[5:]])
    assert float(figures[1]) == pytest.approx(100 * noise, abs=0.051)
    contrast = tables.by_kind[0]
    assert contrast.title == "contrast"
    assert contrast.rows[0][1] == tuple(
        f"{100 * best[f'{column}_mean']:.1f}" for column in COLUMNS[:5]
    )
    assert 'id="corruptions"' in render(board)


def test_kinds_of_different_severities_have_them_in_their_heads() -> None:
    names = {
        "fog, severity 3": ["corruption(kind='fog', severity=3)"],
        "snow, severities 3 and 5": [f"corruption(kind='snow', severity={s})" for s in (3, 5)],
    }
    corrupt = {name: EvaluatedColumn(corrupts=True) for own in names.values() for name in own}
    board = invent([Invented("a"), Invented("b")], columns={**INVENTED, **corrupt})
    tables = corruption_tables(board)
    assert tables is not None
    assert tables.kinds.heads == tuple(names)
    assert tables.severities == ""
    assert [table.title for table in tables.by_kind] == ["snow"]
    page = " ".join(render(board).split())
    assert "Each figure is the mean over the severities of its kind; the column" in page


def test_a_board_without_corruptions_has_no_such_section(finished_board: Path) -> None:
    board = Leaderboard.read(finished_board / "tiny")
    assert corruption_tables(board) is None
    assert "corruption_mean" not in board.table


def test_all_rows_have_the_same_corrupted_images(corrupted: Path) -> None:
    board = Leaderboard.read(corrupted)
    assert list(corruption_problems(board)) == []
    first, last = board.cells[0], board.cells[-1]
    assert first.row != last.row
    shifted = {**last.outcomes, COLUMNS[0]: last.outcomes[COLUMNS[1]]}
    mixed_up = SimpleNamespace(row=last.row, seed=last.seed, outcomes=shifted)
    forged = cast(Leaderboard, SimpleNamespace(columns=board.columns, cells=[first, mixed_up]))
    assert list(corruption_problems(forged)) == [
        f"'{last.row}', seed {last.seed}: the images of {COLUMNS[0]} are not those of "
        f"'{first.row}', though no network has a part in them."
    ]


def test_an_attack_that_is_declared_a_corruption_is_found(folder: Path) -> None:
    forge(
        Published(folder, folder.parent),
        lambda values: values["columns"]["fgsm"].update(corrupts=True),
        "board.json",
    )
    problems = audit(Leaderboard.read(made_consistent(folder)))
    assert "board.json is wrong about whether fgsm is a corruption." in problems


def test_ranking_by_corruptions_without_one(tmp_path: Path) -> None:
    text = BOARD.replace('rank_by = "pgd-4"', 'rank_by = "corruption"')
    (tmp_path / "none.toml").write_text(text)
    with pytest.raises(UserError, match="no corruption is among the attacks; add 'corruption'"):
        run_board(read_board(tmp_path / "none.toml"), out=tmp_path)


def test_progress_reports_one_mean_for_all_corruptions(corrupted: Path) -> None:
    board = Leaderboard.read(corrupted)
    [cell, *_] = board.result.rows[0].cells
    found = accuracies(cell, build_attacks(board.board.evaluation))
    assert list(found) == ["clean", "fgsm", "corruption"]
    assert found["corruption"] == pytest.approx(
        np.mean([cell.outcomes[column].accuracy for column in COLUMNS])
    )
