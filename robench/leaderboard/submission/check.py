"""What a maintainer or a CI runs on a submission: look at it, add it up, make it again."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from robench.leaderboard.audit import audit
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import NOT, draw_rows, rerun
from robench.leaderboard.submission.inspection import inspect_submission
from robench.runs.progress import ProgressReporter


@dataclass(frozen=True, eq=False)
class Checked:
    """What came out.

    Attributes:
        board: the submission.
        problems: what is wrong, a sentence each.
        notes: what could not be made again, and why.
        figures: as :class:`robench.leaderboard.rerun.Rerun` has them; empty where the submission
            does not agree with itself, since then nothing is made again.
    """

    board: Leaderboard
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    figures: pd.DataFrame

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


def check_submission(
    folder: Path,
    *,
    trust_code: bool = False,
    data: str | None = None,
    data_dir: Path | None = None,
    device: torch.device | None = None,
    reporter: ProgressReporter | None = None,
    rows: str = "all",
    seed: int = 0,
) -> Checked:
    """Check a submission: its files, its figures against its outcomes, these against its weights.

    Args:
        folder: of the submission.
        trust_code: execute the ``.py`` file of somebody's own network, which has been read.
        data: the data set; that of the board if left out.
        data_dir: where the data set is, or is downloaded to.
        device: where to work; the CPU by default.
        reporter: told how the work goes.
        rows: how many of the rows to attack again, or ``all``.
        seed: of the rows that are drawn.

    Raises:
        UserError: where a file is not what it must be, so that nothing more is opened; or the
            images are not there, or an attack or defense is not registered.
    """
    board = inspect_submission(folder)
    drawn = draw_rows(board, rows, seed)
    if problems := audit(board):
        return Checked(board, tuple(problems), (), pd.DataFrame())
    again = rerun(
        board,
        drawn,
        data=data,
        data_dir=data_dir,
        device=device,
        reporter=reporter,
        trust_code=trust_code,
    )
    missed = [
        f"'{line['defense']}', seed {line['seed']}, {line['column']}: {line['published']:.4f} was "
        f"submitted, but its weights give {line['found']:.4f}."
        for line in again.figures.to_dict("records")
        if line["verdict"] == NOT
    ]
    notes = again.notes
    if again.broken:
        return Checked(board, (*notes, *missed), (), again.figures)
    return Checked(board, tuple(missed), notes, again.figures)
