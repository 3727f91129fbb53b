"""The check of a submission by a maintainer or CI: validate it, audit it, rerun it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import pandas as pd

from robench.leaderboard.audit import audit
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import NOT, RerunKeywords, draw_rows, rerun
from robench.leaderboard.submission.inspection import inspect_submission
from robench.leaderboard.trust import trusted_code


@dataclass(frozen=True, eq=False)
class Checked:
    """The result of checking a submission.

    Attributes:
        board: the submission.
        problems: what is wrong, one sentence each.
        notes: what could not be reproduced, and why.
        figures: those of :class:`robench.leaderboard.rerun.Rerun`; empty if the submission is not
            consistent, since nothing is rerun in that case.
    """

    board: Leaderboard
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    figures: pd.DataFrame

    @property
    def sound(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


def check_submission(
    folder: Path, *, rows: str = "all", seed: int = 0, **keywords: Unpack[RerunKeywords]
) -> Checked:
    """Check a submission: its files, its figures against its outcomes, these against its weights.

    Args:
        folder: the folder of the submission.
        rows: the number of rows to attack again, or ``all``.
        seed: seed for drawing these rows.
        keywords: data, device, trust and the like; the fields of
            :class:`robench.leaderboard.rerun.RerunOptions`.

    Raises:
        UserError: if a file is invalid, in which case no further file is opened; or if the images
            are not found, or an attack or defense is not registered.
    """
    board = inspect_submission(folder)
    drawn = draw_rows(board, rows, seed)
    with trusted_code(board, trust=keywords.get("trust_code", False)):
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
