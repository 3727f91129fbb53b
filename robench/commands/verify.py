"""``robench verify``: is a published leaderboard what its evidence says?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from robench.errors import UserError
from robench.leaderboard.audit import audit
from robench.leaderboard.evidence import was_run
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import Rerun, RerunKeywords, draw_rows, rerun


@dataclass(frozen=True, eq=False)
class Verification:
    """What came out for one leaderboard.

    Attributes:
        leaderboard: as read.
        problems: what is wrong in its files, one sentence each.
        drawn: the titles of the rows that were to be made again.
        rerun: what came of them; None where the files are wrong, since then none is.
    """

    leaderboard: Leaderboard
    problems: tuple[str, ...]
    drawn: tuple[str, ...]
    rerun: Rerun | None

    @property
    def sound(self) -> bool:
        """Nothing wrong was found."""
        return not self.problems and (self.rerun is None or self.rerun.sound)


def verify(
    folder: str | Path | Leaderboard,
    *,
    rows: str = "1",
    seed: int = 0,
    **keywords: Unpack[RerunKeywords],
) -> Verification:
    """Check a leaderboard against its evidence, and make some of its rows again.

    Checksums, specifications and hashes are compared, and every figure is computed again from the
    outcomes. Only if all of that agrees are the weights of rows attacked again.

    Args:
        folder: of the published leaderboard; or the leaderboard.
        rows: how many rows to make again, drawn at random, or ``"all"``.
        seed: of the rows that are drawn.
        keywords: where the weights and the images are, what may be executed; the fields of
            :class:`robench.leaderboard.rerun.RerunOptions`, such as ``stores=[Path("runs")]``.

    Raises:
        UserError: where the folder holds no leaderboard, its images are not there, or an entry is
            not registered.
    """
    board = folder if isinstance(folder, Leaderboard) else Leaderboard.read(folder)
    drawn = draw_rows(board, rows, seed)
    if problems := audit(board):
        return Verification(board, tuple(problems), tuple(drawn), None)
    return Verification(board, (), tuple(drawn), rerun(board, drawn, **keywords))


def leaderboards_among(folders: Sequence[Path]) -> dict[Path, bool]:
    """Return which folders hold a published leaderboard; a single one is taken for one.

    Raises:
        UserError: where one does not exist, or none of several holds a leaderboard.
    """
    for folder in folders:
        if not folder.exists():
            raise UserError(f"there is no folder {folder}.")
    if len(folders) == 1:
        return {folders[0]: True}
    found = {folder: was_run(folder) for folder in folders}
    if not any(found.values()):
        raise UserError("none of these folders holds a leaderboard.")
    return found
