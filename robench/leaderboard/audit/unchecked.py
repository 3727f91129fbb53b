"""Say what of a published board its files alone do not let an audit compare."""

from collections.abc import Collection

from robench.leaderboard.audit.checks import check_notes
from robench.leaderboard.audit.costs import cost_notes
from robench.leaderboard.audit.divergence import divergence_notes
from robench.leaderboard.audit.duplicates import Copies
from robench.leaderboard.audit.notes import audit_notes
from robench.leaderboard.audit.rows import earlier_checks, twin_notes
from robench.leaderboard.audit.shipped import shipped_notes
from robench.leaderboard.audit.spectra import spectra_notes
from robench.leaderboard.audit.training_log import log_notes
from robench.leaderboard.evidence import PAGE, TOML, read_sums
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission_readme import README

BESIDE = (PAGE, "curves.svg", "spectra.svg", README, TOML)
"""What has no checksum: the page, pictures of tables, what somebody wrote, and where it is not
published with the board, its specification for others to run."""


def unchecked(
    board: Leaderboard, rerun: Collection[str] = (), copies: Copies | None = None
) -> list[str]:
    """Return what was not compared, one sentence each; empty if everything was.

    Times, devices, commits and names are on trust in every board and are not repeated here.

    Args:
        board: the board as read.
        rerun: the titles of the rows that were rerun, which compares the costs and spectra of their
            networks.
        copies: what the audit found of outcomes that are there twice; looked for if left out.
    """
    sums = read_sums(board.folder)
    beside = [n for n in BESIDE if n not in sums and (board.folder / n).exists()]
    found = [_without_checksums(beside)] if beside else []
    found += audit_notes(board, copies)
    found += shipped_notes(board)
    found += twin_notes(board)
    found += earlier_checks(board)
    for notes in (log_notes, divergence_notes, check_notes):
        found += notes(board)
    return [*found, *spectra_notes(board, rerun), *cost_notes(board, rerun)]


def _without_checksums(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]}, which has no checksum."
    return f"{', '.join(names[:-1])} and {names[-1]}, which have no checksums."
