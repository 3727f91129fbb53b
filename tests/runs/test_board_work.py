"""The work on a board: which cells are worked on at the same time, and what is said meanwhile."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support import TWO_ATTACKS
from two_workers import TwoWorkers

from robench.board.board import Board
from robench.board.loading import read_board
from robench.runs import run
from robench.runs.context import RunContext
from robench.runs.executor import Ended
from robench.runs.pieces import Attacking, Measuring, Piece, Training, perform
from robench.runs.run import run_board
from robench.runs.schedule import Schedule

ONE_ROW = (
    TWO_ATTACKS.replace("epochs = 2", "epochs = 1")
    .replace('"batchnorm", "convnorm"', '"batchnorm"')
    .replace('name = "digits"', 'name = "digits"\nsubset = 0.1')
)
TWINS = ONE_ROW.replace("checks = false", "check_samples = 10\nspectra = true")
TWINS += """
[[arms]]
defense = "batchnorm"
label = "the same again"
"""


def board(folder: Path, text: str) -> Board:
    path = folder / "board.toml"
    path.write_text(text)
    return read_board(path)


class Two(TwoWorkers):
    """Two workers, of which the one that began last ends first."""

    def __init__(self, ctx: RunContext) -> None:
        super().__init__()
        self.begun: list[Piece] = []
        self._ctx = ctx

    def submit(self, piece: Piece) -> None:
        self.begun.append(piece)
        super().submit(piece)

    def wait(self, seconds: float | None = None) -> Sequence[Ended]:
        piece = self.running.pop()
        return [Ended(piece, perform(piece, self._ctx))]


def test_rows_with_the_same_specification_are_trained_and_attacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[Two] = []

    def two(placement: Any, name: Any, folder: Any, work: Any, ctx: RunContext) -> Two:
        workers.append(Two(ctx))
        return workers[-1]

    monkeypatch.setattr(run, "executor_for", two)
    result = run_board(board(tmp_path, TWINS), out=tmp_path)
    one, other = (row.cells[0] for row in result.rows)
    works = [piece.work for piece in workers[0].begun]
    assert [type(work) for work in works].count(Training) == 1
    assert [type(work) for work in works].count(Measuring) == 1
    columns = [name for work in works if isinstance(work, Attacking) for name in work.columns]
    assert sorted(columns) == sorted(one.outcomes)
    assert one.evidence.manifest == other.evidence.manifest
    assert one.evidence.spectra == other.evidence.spectra


def test_what_is_stored_already_takes_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ONE_ROW.replace("seeds = [0]", "seeds = [0, 1]")
    run_board(board(tmp_path, ONE_ROW.replace("seeds = [0]", "seeds = [1]")), out=tmp_path)
    asked: list[float] = []

    def seconds_left(schedule: Schedule, remaining: float) -> float:
        asked.append(remaining)
        return 0.0

    monkeypatch.setattr(Schedule, "seconds_left", seconds_left)
    run_board(board(tmp_path, whole), out=tmp_path)
    assert asked == [0.0], "after the first of two cells, of which the second is stored"
