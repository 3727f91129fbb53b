"""What a maintainer or a CI runs on a submission: look at it, add it up, make it again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import pandas as pd

from robench.leaderboard.audit import audit
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import NOT, RerunKeywords, draw_rows, rerun
from robench.leaderboard.submission.inspection import inspect_submission


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
    folder: Path, *, rows: str = "all", seed: int = 0, **keywords: Unpack[RerunKeywords]
) -> Checked:
    """Check a submission: its files, its figures against its outcomes, these against its weights.

    Args:
        folder: of the submission.
        rows: how many of the rows to attack again, or ``all``.
        seed: of the rows that are drawn.
        keywords: data, device, trust and the like; the fields of
            :class:`robench.leaderboard.rerun.RerunOptions`.

    Raises:
        UserError: where a file is not what it must be, so that nothing more is opened; or the
            images are not there, or an attack or defense is not registered.
    """
    board = inspect_submission(folder)
    drawn = draw_rows(board, rows, seed)
    if problems := audit(board):
        return Checked(board, tuple(problems), (), pd.DataFrame())
    again = rerun(board, drawn, **keywords)
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
