"""A cell that nobody trains: its log is written by hand."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from support import TWO_ATTACKS

from robench.board.loading import read_board
from robench.runs.run import cell_jobs, prepared
from robench.runs.steps import CellJob
from robench.runs.store import CellFolder

WriteLog = Callable[[int], None]


@pytest.fixture
def job(tmp_path: Path) -> CellJob:
    file = tmp_path / "board.toml"
    file.write_text(TWO_ATTACKS)
    plan, ctx = prepared(read_board(file), tmp_path / "runs")
    return cell_jobs(plan, ctx)[0]


@pytest.fixture
def write_log(job: CellJob) -> WriteLog:
    """Write the log of a training after so many epochs; the second has no validation accuracy."""
    folder = CellFolder(job.ctx.store.root / job.cell.key)
    folder.path.mkdir(parents=True)

    def write(epochs: int) -> None:
        rows = [
            {"epoch": n, "train_loss": 1 / n, "val_accuracy": float("nan") if n == 2 else 0.5}
            for n in range(1, epochs + 1)
        ]
        folder.log.write_text(pd.DataFrame(rows).to_csv(index=False))

    return write
