"""``robench verify``: check a published leaderboard against its artifacts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from robench.checks.wording import some
from robench.errors import UserError
from robench.leaderboard.audit import full_audit, unchecked
from robench.leaderboard.evidence import name_a_leaderboard, no_folder, was_run
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import (
    Rerun,
    RerunKeywords,
    board_images,
    draw_fresh_seed,
    draw_rows,
    rerun,
    rows_trained,
    rows_with_weights,
    weights_elsewhere,
)
from robench.leaderboard.trust import trusted_code

TRUSTED = (
    "times, memory, device, commit and names",
    "the choice of rows, seeds, ranking column and goal, and what a paper printed",
    "that no challenge was taken out",
    "training losses, and that the weights are those of the specified training",
)
"""What no check of files and weights can tell; --retrain tells the last of them."""


@dataclass(frozen=True, eq=False)
class Verification:
    """The result for one leaderboard.

    Attributes:
        leaderboard: the leaderboard as read.
        problems: what is wrong in its files, one sentence each.
        drawn: the titles of the rows that were drawn to be rerun.
        rerun: the result of the rerun; None if the files are wrong, since no row is rerun then.
        requested: whether the caller asked for rows to be rerun.
        unchecked: what could not be checked, one sentence each.
        seed: the seed that the rows were drawn with.
    """

    leaderboard: Leaderboard
    problems: tuple[str, ...]
    drawn: tuple[str, ...]
    rerun: Rerun | None
    requested: bool = False
    unchecked: tuple[str, ...] = ()
    seed: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.problems and (self.rerun is None or self.rerun.sound)

    @property
    def unconfirmed(self) -> bool:
        """Whether rows were to be rerun and none was, or training gave other weights for some.

        Nothing wrong was found, but what the caller asked for was not shown either.
        """
        again = self.rerun
        if again is None:
            return False
        return (self.requested and again.rows == 0) or bool(again.other_weights)

    @property
    def recomputed(self) -> tuple[str, ...]:
        """What was computed again and compared with what was published."""
        return recomputed(self.rerun) if self.rerun else ()


def recomputed(again: Rerun) -> tuple[str, ...]:
    """Return what was computed again in an audit that found nothing and the rerun after it."""
    made = ["checksums, specifications, hashes and every table, from the files"]
    if again.rows:
        made.append(f"outcomes, checks, spectra and costs of {some(again.rows, 'row')}")
    if again.challenges:
        made.append(f"{again.challenges} of the challenges, by their networks")
    if len(again.fresh):
        made.append(f"attacks with the fresh seed {again.fresh_seed}")
    return tuple(made)


def verify(
    folder: str | Path | Leaderboard,
    *,
    rows: str | int | None = None,
    seed: int | None = None,
    **keywords: Unpack[RerunKeywords],
) -> Verification:
    """Check a leaderboard against its artifacts, and rerun some of its rows.

    Checksums, specifications and hashes are compared, and every figure is recomputed from the
    outcomes. Only if all of these agree are the networks of rows attacked, checked and measured
    again.

    Args:
        folder: the folder of the published leaderboard, or the leaderboard itself.
        rows: how many rows to rerun, drawn at random, or ``"all"``; by default one, if its weights
            are here.
        seed: seed for drawing the rows; by default drawn now, so that nobody can know before which
            rows it will be.
        keywords: where the weights and the images are, what may be executed, and a seed for
            further attacks: the fields of :class:`robench.leaderboard.rerun.RerunOptions`, such as
            ``stores=[Path("runs")]``.

    Raises:
        UserError: if the folder contains no leaderboard, an entry is not registered, ``rows`` is
            neither a number nor ``"all"``, or the images are missing though rows, their training or
            a data set were asked for.
    """
    board = folder if isinstance(folder, Leaderboard) else Leaderboard.read(folder)
    seed = draw_fresh_seed() if seed is None else seed
    here = rows_with_weights(board, keywords.get("stores", ()))
    among = here if rows is None and here and not keywords.get("retrain", False) else None
    drawn = draw_rows(board, "1" if rows is None else rows, seed, among)
    further = keywords.get("retrain", False) or keywords.get("fresh_seed") is not None
    requested = (rows is not None and len(drawn) > 0) or further
    trust = keywords.get("trust_code", False)
    with trusted_code(board, trust=trust) as unloaded:
        audit = full_audit(board)
        if audit.problems:
            return Verification(board, audit.problems, tuple(drawn), None, requested, (), seed)
        absent = _absent_images(board, keywords) if here and not requested else None
        again = rerun(board, [] if absent else drawn, **keywords)
        if absent is not None:
            again = replace(again, notes=(f"its images are not here: {absent}", *again.notes))
        left = unchecked(board, again.titles, audit.copies)
        left += [*_without_weights(board, here), *again.unchecked]
        left += [unloaded] if trust and unloaded else []
        return Verification(board, (), tuple(drawn), again, requested, tuple(left), seed)


def _absent_images(board: Leaderboard, keywords: RerunKeywords) -> str | None:
    """Return why the images are not here, if nobody said where they are; None if they are here."""
    if keywords.get("data") is not None or keywords.get("data_dir") is not None:
        return None
    try:
        board_images(board, None, None)
    except UserError as error:
        return str(error)
    return None


def _without_weights(board: Leaderboard, here: Sequence[str]) -> list[str]:
    """Return a sentence on the rows without weights, if other rows have theirs."""
    absent = [title for title in rows_trained(board) if title not in here]
    if not here or not absent:
        return []
    names = ", ".join(map(repr, absent[:5]))
    where = weights_elsewhere(board)
    return [f"the weights of {names} are not here{where}; those of others are here."]


def leaderboards_among(folders: Sequence[Path]) -> dict[Path, bool]:
    """Return which folders contain a published leaderboard; a single folder is assumed to.

    Raises:
        UserError: if a folder does not exist, or none of several contains a leaderboard.
    """
    for folder in folders:
        if not folder.exists():
            raise UserError(f"{no_folder(folder)}; {name_a_leaderboard(folder)}")
    if len(folders) == 1:
        return {folders[0]: True}
    found = {folder: was_run(folder) for folder in folders}
    if not any(found.values()):
        raise UserError(
            "none of these folders holds a leaderboard; give the folder of a published one."
        )
    return found
