"""Progress: lines in a pipe, and on a terminal a bar for each piece that runs."""

import io

from rich.console import Console

from robench.cli.progress_bar import ProgressBar
from robench.progress import Progress

ROW = {"clean": 0.98, "pgd-20": 0.451}


def piped(stages: int = 2) -> tuple[ProgressBar, io.StringIO]:
    file = io.StringIO()
    return ProgressBar(Console(file=file, width=200), stages), file


def test_a_pipe_gets_one_line_per_stage_and_row() -> None:
    bar, file = piped()
    with bar:
        bar.announce("a, seed 0", "training")
        line = bar.line("a, seed 0", "training")
        line.update(Progress("training", 1, 2, "batches"))
        line.close()
        bar.announce("b, seed 0", "stored")
        bar.row("a, seed 0", ROW, 200.0)
    assert file.getvalue().splitlines() == [
        "[1/2] a, seed 0: training",
        "[2/2] b, seed 0: stored",
        "[1/2] a, seed 0: clean 98.0%, pgd-20 45.1% (about 3 min left)",
    ]


def test_a_terminal_has_a_bar_for_each_running_piece() -> None:
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=True, color_system=None)
    with ProgressBar(console, 2) as bar:
        first, second = bar.line("a, seed 0", "training"), bar.line("b, seed 0", "attacking")
        first.update(Progress("training", 1, 2, "batches", "epoch 1/2"))
        second.update(Progress("pgd-20", 3, 10, "images"))
        bar._bars.refresh()
        shown = file.getvalue()
        first.close()
        second.close()
        assert bar._bars.tasks == []
    assert "a, seed 0: training" in shown
    assert "epoch 1/2" in shown
    assert "b, seed 0: pgd-20" in shown
    assert "3/10 images" in shown
