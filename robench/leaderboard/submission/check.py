"""The check of a submission by a maintainer or CI: validate it, audit it, rerun it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import pandas as pd

from robench.board.board import Board
from robench.checks.report import VERSION
from robench.errors import UserError
from robench.leaderboard.audit import full_audit, unchecked
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import (
    NOT,
    REFUTED,
    Rerun,
    RerunKeywords,
    draw_fresh_seed,
    draw_rows,
    rerun,
)
from robench.leaderboard.submission.effort import check_effort, other_attacks
from robench.leaderboard.submission.inspection import inspect_submission
from robench.leaderboard.trust import trusted_code, unknown_to_all


@dataclass(frozen=True, eq=False)
class Checked:
    """The result of checking a submission.

    Attributes:
        board: the submission.
        problems: what is wrong, one sentence each.
        drawn: the titles of the rows that were drawn to be rerun.
        rerun: the result of the rerun; None if the submission is not consistent, since nothing is
            rerun in that case.
        unchecked: what could not be compared, and why.
        seed: the seed that the rows were drawn with.
    """

    board: Leaderboard
    problems: tuple[str, ...]
    drawn: tuple[str, ...] = ()
    rerun: Rerun | None = None
    unchecked: tuple[str, ...] = ()
    seed: int = 0

    @property
    def sound(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    @property
    def checked_nothing(self) -> bool:
        """Whether rows were to be rerun and none was, so that soundness says little."""
        return bool(self.drawn) and self.rerun is not None and self.rerun.rows == 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be reproduced, and why."""
        return self.rerun.notes if self.rerun else ()

    @property
    def figures(self) -> pd.DataFrame:
        """The figures of :class:`robench.leaderboard.rerun.Rerun`; empty without a rerun."""
        return self.rerun.figures if self.rerun else pd.DataFrame()


def check_submission(
    folder: Path,
    *,
    rows: str = "all",
    seed: int | None = None,
    attacks_of: Board | None = None,
    **keywords: Unpack[RerunKeywords],
) -> Checked:
    """Check a submission: its files, its figures against its outcomes, these against its weights.

    The networks are attacked with the published seeds, and once more with a seed of the verifier's.

    Args:
        folder: the folder of the submission.
        rows: the number of rows to attack again, or ``all``.
        seed: seed for drawing these rows; by default drawn now.
        attacks_of: the board that the submission is for; its attacks must be those of this board.
            Without it, attacks that take very long are refused.
        keywords: data, device, trust and the like; the fields of
            :class:`robench.leaderboard.rerun.RerunOptions`. ``fresh_seed`` is drawn by default.

    Raises:
        UserError: if a file is invalid, in which case no further file is opened; or if the images
            are not found, an attack or defense is not registered, or the attacks take too long.
    """
    board = inspect_submission(folder)
    seed = draw_fresh_seed() if seed is None else seed
    drawn = draw_rows(board, rows, seed)
    if attacks_of is not None and (wrong := other_attacks(board.board, attacks_of)):
        return Checked(board, (f"it was evaluated otherwise than the board it is for: {wrong}",))
    if keywords.get("fresh_seed") is None:
        keywords["fresh_seed"] = draw_fresh_seed()
    trust = keywords.get("trust_code", False)
    with trusted_code(board, trust=trust) as unloaded:
        if trust and unloaded:  # a submission must be checked whole
            raise UserError(unloaded)
        audit = full_audit(board)
        if audit.problems:
            return Checked(board, audit.problems)
        if earlier := _earlier_reports(board):
            return Checked(board, earlier)
        if attacks_of is None and not unknown_to_all(board):
            # Each network is attacked twice: with its own seed, and with a fresh one.
            check_effort(board, 2 * sum(cell.row in drawn for cell in board.cells))
        again = rerun(board, drawn, **keywords)
        left = (*unchecked(board, again.titles, audit.copies), *again.unchecked)
    return Checked(board, (*again.problems, *_missed(again)), tuple(drawn), again, left, seed)


def _earlier_reports(board: Leaderboard) -> tuple[str, ...]:
    """Return a sentence for each report of an earlier version, which would not be made again."""
    return tuple(
        f"'{cell.row}', seed {cell.seed}: its checks are of version {cell.file.checks.version}, "
        f"which is not made again; run the board once more with this version of robench and submit "
        f"that."
        for cell in board.cells
        if cell.file.checks is not None and cell.file.checks.version != VERSION
    )


def _missed(again: Rerun) -> list[str]:
    """Return a sentence for each figure that was not reproduced."""
    found = []
    for line in again.figures.to_dict("records"):
        if line["verdict"] == NOT:
            found.append(
                f"'{line['defense']}', seed {line['seed']}, {line['column']}: "
                f"{line['published']:.4f} was submitted, but its weights give {line['found']:.4f}, "
                f"another outcome on {line['other_images']} images."
            )
    for line in again.fresh.to_dict("records"):
        if line["verdict"] == REFUTED:
            found.append(
                f"'{line['defense']}', seed {line['seed']}, {line['column']}: "
                f"{line['published']:.4f} was submitted, but the fresh seed {again.fresh_seed} "
                f"gives {line['found']:.4f} (p = {line['p']:.1g})."
            )
    return found
