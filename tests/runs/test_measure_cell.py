"""Spectra of a board's networks: computed once, published, recomputed from the provenance."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import TINY_BOARD, Command

from robench.board.cells import Cell
from robench.board.loading import read_board
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.commands.run import run_and_publish
from robench.data import load_dataset
from robench.diagnostics.comparison import condition_ratios
from robench.leaderboard.published import Leaderboard
from robench.runs.context import RunContext
from robench.runs.measure_cell import costs_of
from robench.runs.progress import NullReporter
from robench.runs.store import RunStore
from robench.runs.train_cell import minibatch_of


@pytest.fixture(scope="module")
def board_with_spectra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spectra")
    text = TINY_BOARD.replace("checks = false", "checks = false\nspectra = true")
    (root / "tiny.toml").write_text(text.replace("epochs = 2", "epochs = 1"))
    run_and_publish(read_board(root / "tiny.toml"), root, "tiny")
    return root


@pytest.fixture
def measured(board_with_spectra: Path, tmp_path: Path) -> Path:
    """A published board that asks for spectra; its baseline is the first row."""
    shutil.copytree(board_with_spectra, tmp_path, dirs_exist_ok=True)
    return tmp_path / "tiny"


def test_they_are_in_the_table_the_folder_and_the_picture(measured: Path, robench: Command) -> None:
    board = Leaderboard.read(measured)
    spectra = board.derived["spectra.csv"]
    assert set(spectra["defense"]) == {"batchnorm", "convnorm"}
    assert len(spectra["layer"].unique()) == 7
    plain, normalized = (spectra[spectra["defense"] == name] for name in ("batchnorm", "convnorm"))
    wanted = condition_ratios(plain, normalized).set_index("operator")
    table = board.table.set_index("defense")
    for column, kind in (
        ("condition_ratio", "arithmetic"),
        ("condition_ratio_geometric", "geometric"),
    ):
        assert table.loc["batchnorm", column] == pytest.approx(1, rel=1e-5)
        found = table.loc["convnorm", column]
        assert found == pytest.approx(wanted.loc["convolution", kind], rel=1e-4)
    assert (measured / "spectra.svg").stat().st_size > 10_000
    done = robench("verify", measured, "--rows", "0")
    assert done.code == 0, done.out
    done = robench("page", measured)
    assert "chart-spectra" in (measured / "page.html").read_text(), done.err


def test_they_are_not_computed_twice(measured: Path, robench: Command) -> None:
    before = (measured / "spectra.csv").read_bytes()
    files = sorted((measured.parent / "cells").glob("*/spectra-*.json"))
    times = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2
    assert robench("run", measured.parent / "tiny.toml", "--out", measured.parent).code == 0
    assert [file.stat().st_mtime_ns for file in files] == times
    assert (measured / "spectra.csv").read_bytes() == before


def test_a_changed_figure_is_found(measured: Path, robench: Command) -> None:
    path = next(iter(sorted((measured / "manifests").glob("convnorm*"))))
    manifest = json.loads(path.read_text())
    manifest["spectra"][0]["condition"] = 1.0
    path.write_text(json.dumps(manifest))
    done = robench("verify", measured, "--rows", "0")
    assert done.code == 1
    assert "spectra.csv, row" in done.out


def test_the_memory_is_that_of_a_minibatch_that_there_is(tmp_path: Path) -> None:
    dataset = load_dataset("digits")
    ctx = RunContext(
        store=RunStore(tmp_path),
        dataset=dataset,
        evaluation=EvaluationSpec(),
        device=torch.device("cpu"),
        reporter=NullReporter(),
    )

    def memory(batch_size: int) -> float | None:
        cell = Cell(
            defense="batchnorm",
            data=DataSpec(name="digits", subset=0.05),
            data_hash=dataset.fingerprint,
            model=ModelSpec(width=4),
            training=TrainingSpec(batch_size=batch_size),
            seed=0,
        )
        return costs_of(cell, ctx).training_memory_mib

    most = minibatch_of(DataSpec(name="digits", subset=0.05), 1000, dataset)
    assert 60 < most < 70
    assert memory(1000) == memory(most) != memory(most - 1)


def test_figures_that_are_not_finite_are_empty(measured: Path) -> None:
    table = pd.read_csv(measured / "spectra.csv")
    assert not table.isin([float("inf")]).any(axis=None)
