"""Building the table: from finished cells to tidy rows."""

import hashlib
import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from robench.board.board import Board
from robench.board.cells import Cell
from robench.board.plan import build_attacks
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.cli.tables.boards import leaderboard_table
from robench.evaluation import Outcomes
from robench.leaderboard.columns import kind_of
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.models.complexity import Complexity
from robench.runs.records import (
    BoardResult,
    CellResult,
    CheckReport,
    Divergence,
    Evidence,
    FindingEntry,
    Manifest,
    OutcomeEntry,
    RowResult,
)
from robench.runs.run import columns_of

COSTS = Complexity(parameters=1234, multiply_adds=5678, training_memory_mib=9.5)
ATTACKS = ("fgsm", "simba(samples=10)")


def outcomes(robust: int, samples: int = 100, queries: int = 0) -> Outcomes:
    correct = np.arange(samples) < samples - 10
    return Outcomes(
        correct=correct,
        robust=np.arange(samples) < robust,
        rounded=np.arange(samples) < robust + 3,
        queries=np.where(correct, queries, 0).astype(np.int64),
        forwards=np.zeros(samples, dtype=np.int64),
        backwards=np.zeros(samples, dtype=np.int64),
        linf=np.zeros(samples, dtype=np.float32),
        l2=np.zeros(samples, dtype=np.float32),
    )


def evidence(
    seed: int = 0,
    seconds: float = 1.0,
    recipe: TrainingSpec = TrainingSpec(),  # noqa: B008 - frozen
    **more: Any,
) -> Evidence:
    cell = Cell(
        defense="vanilla",
        data=DataSpec(),
        data_hash="abc",
        model=ModelSpec(width=16),
        training=recipe,
        seed=seed,
    )
    return Evidence(cell=cell, training=({"epoch": 1, "seconds": seconds},), **more)


def cell(robust: int, seed: int = 0, seconds: float = 1.0, **more: Any) -> CellResult:
    figures = {
        "clean": outcomes(90),
        "fgsm": outcomes(robust),
        "simba(samples=10)": outcomes(0, samples=20, queries=7),
    }
    entries = {
        f"key-{i}": OutcomeEntry(
            column=name,
            outcomes_hash=hashlib.sha256(o.robust.tobytes()).hexdigest(),
            seconds_of_group=1.0,
            gradients="float32",
            version="abc",
        )
        for i, (name, o) in enumerate(figures.items())
    }
    manifest = Manifest(
        specification="s",
        version="abc",
        environment={},
        data_hash="abc",
        training_seconds=1.0,
        peak_memory_mib=1,
        weights_hash="0" * 64,
        outcomes=entries,
    )
    return CellResult(evidence(seed, seconds, manifest=manifest, **more), figures)


def row(title: str, *cells: CellResult) -> RowResult:
    return RowResult(title, COSTS, cells)


def result(*rows: RowResult) -> BoardResult:
    board = Board(
        title="t",
        defenses=("a", "b"),
        evaluation=EvaluationSpec(attacks=ATTACKS, samples=100, rank_by="fgsm"),
    )
    return BoardResult(board, "mnist5k", columns_of(build_attacks(board.evaluation)), rows)


def table_of(board: BoardResult) -> pd.DataFrame:
    return leaderboard(board, compare_rows(board))


def test_the_best_by_the_ranking_column_comes_first() -> None:
    table = table_of(result(row("a", cell(20)), row("b", cell(40)), row("c", cell(30))))
    assert list(table["defense"]) == ["b", "c", "a"]
    assert list(table["rank"]) == [1, 2, 3]


def test_the_share_of_adversarial_images_that_survive_rounding_is_a_column() -> None:
    table = table_of(result(row("a", cell(60))))
    assert table.loc[0, "fgsm_rounded"] == 27 / 30


def test_the_worst_case_is_over_the_attacks_of_the_ranking_column_s_threat_model() -> None:
    even = np.arange(100) % 2 == 0
    figures = {name: outcomes(60) for name in ("clean", "fgsm", "fgsm(eps=0.5)")}
    other = outcomes(60)
    figures["pgd-10"] = replace(other, robust=other.robust & even)
    evaluation = EvaluationSpec(attacks=tuple(figures)[1:], samples=100, rank_by="pgd-10")
    board = Board(title="t", defenses=("a",), evaluation=evaluation)
    cells = row("a", CellResult(evidence(), figures))
    columns = columns_of(build_attacks(evaluation))
    table = table_of(BoardResult(board, "mnist5k", columns, (cells,)))
    assert table.loc[0, "worst_case_mean"] == 0.3
    alone = table_of(result(row("a", cell(60))))
    assert "worst_case_mean" not in alone  # simba has no threat model


def test_a_row_says_what_its_recipe_changes() -> None:
    recipe = TrainingSpec(lr=0.01, method="standard")
    changed = row("b", cell(40, recipe=recipe))
    table = table_of(result(row("a", cell(20)), changed)).set_index("defense")
    assert table["recipe"].to_dict() == {"a": "", "b": "method=standard, lr=0.01"}
    assert (table["multiply_adds"] == 5678).all()


def test_equal_rows_share_a_rank() -> None:
    table = table_of(result(row("b", cell(20)), row("a", cell(20)), row("c", cell(10))))
    assert list(table["defense"]) == ["a", "b", "c"]
    assert list(table["rank"]) == [1, 1, 3]


def test_seeds_give_mean_and_std() -> None:
    table = table_of(result(row("a", cell(20, seed=0), cell(30, seed=1))))
    assert table.loc[0, "seeds"] == "0 1"
    assert table.loc[0, "fgsm_mean"] == 0.25
    assert table.loc[0, "fgsm_std"] == np.std([0.2, 0.3], ddof=1)


def test_attacks_that_report_queries_have_their_columns() -> None:
    table = table_of(result(row("a", cell(20))))
    assert table.loc[0, "simba(samples=10)_samples"] == 20
    assert table.loc[0, "simba(samples=10)_success"] == 1.0
    assert table.loc[0, "simba(samples=10)_queries"] == 7.0
    assert "fgsm_queries" not in table


def test_training_time_is_relative_to_the_first_row() -> None:
    rows = (row("a", cell(20, seconds=2.0)), row("b", cell(30, seconds=5.0)))
    table = table_of(result(*rows)).set_index("defense")
    assert dict(table["train_cost"]) == {"a": 1.0, "b": 2.5}


def test_a_diverged_seed_leaves_a_flagged_row_without_figures_at_the_end() -> None:
    note = Divergence(reason="the loss is no longer finite", version="abc")
    diverged = CellResult(evidence(diverged=note), {})
    table = table_of(result(row("a", diverged), row("b", cell(0))))
    assert list(table["defense"]) == ["b", "a"]
    assert table.loc[1, "flags"] == "diverged"
    assert math.isnan(table.loc[1, "fgsm_mean"])


def test_the_csv_reads_back_and_depends_on_time_only_in_its_timing_columns() -> None:
    texts = [
        to_csv(table_of(result(row("a", cell(20, seconds=s)), row("b", cell(5)))))
        for s in (1.0, 3.0)
    ]
    tables = [pd.read_csv(io.StringIO(text)) for text in texts]
    assert texts[0] != texts[1]
    timings = [name for name in tables[0] if kind_of(name) == "timing"]
    assert timings == ["train_seconds_per_epoch", "train_cost"]
    kept = [table.drop(columns=timings) for table in tables]
    pd.testing.assert_frame_equal(*kept)


def test_the_digest_changes_with_the_cells() -> None:
    digests = {table_of(result(row("a", cell(robust)))).loc[0, "digest"] for robust in (20, 21)}
    assert len(digests) == 2


def test_markup_in_a_name_is_shown_as_it_is() -> None:
    from rich.console import Console

    board = result(row("[bold]x[/bold]", cell(20)))
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(leaderboard_table(board.board, table_of(board), "t"))
    assert "[bold]x[/bold]" in console.export_text()


def test_checks_that_failed_for_any_seed_are_flags() -> None:
    def checked(*failed: str) -> CheckReport:
        names = ("more_steps", "noise", "curve")
        found = (FindingEntry(check=n, passed=n not in failed, sentence="So.") for n in names)
        return CheckReport(version=1, samples=9, findings=tuple(found), curve=())

    cells = [cell(20, seed, checks=checked(*f)) for seed, f in enumerate([["noise"], ["curve"]])]
    table = table_of(result(row("a", *cells), row("b", cell(30, checks=checked()))))
    assert table.set_index("defense")["flags"].to_dict() == {"a": "noise curve", "b": ""}


def test_the_version_is_that_of_the_code_that_trained_the_cells() -> None:
    assert table_of(result(row("a", cell(20), cell(30, seed=1)))).loc[0, "version"] == "abc"
