"""The audit of a published leaderboard: its files against each other; no model is run."""

from dataclasses import dataclass

from robench.board.board import Board
from robench.board.specs import PUBLISHED
from robench.leaderboard.audit.attacks import code_problems, threat_model_problems
from robench.leaderboard.audit.cells import cell_problems
from robench.leaderboard.audit.challenges import challenge_problems
from robench.leaderboard.audit.checks import check_problems
from robench.leaderboard.audit.corrupted import corruption_problems
from robench.leaderboard.audit.costs import cost_problems
from robench.leaderboard.audit.divergence import divergence_problems
from robench.leaderboard.audit.duplicates import Copies, duplicates
from robench.leaderboard.audit.layout import layout_problems
from robench.leaderboard.audit.lengths import length_problems
from robench.leaderboard.audit.names import name_problems
from robench.leaderboard.audit.outcomes import outcome_problems
from robench.leaderboard.audit.plan import plan_problems
from robench.leaderboard.audit.provenance import provenance_problems
from robench.leaderboard.audit.readme import readme_problems
from robench.leaderboard.audit.rows import title_problems
from robench.leaderboard.audit.spectra import spectra_problems
from robench.leaderboard.audit.tables import table_problems
from robench.leaderboard.audit.training_log import log_problems
from robench.leaderboard.audit.weights import tensor_problems, weights_problems
from robench.leaderboard.evidence import TOML, broken_sums, read_sums, unlisted
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.trust import source_problems
from robench.system.reading import DOCUMENT_BYTES, read_text
from robench.system.toml_files import parse_toml


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        problems: what is wrong, one sentence each; empty if the board is consistent.
        copies: the outcomes that are there twice; None if the files have others than the manifests.
    """

    problems: tuple[str, ...]
    copies: Copies | None = None


def audit(board: Leaderboard) -> list[str]:
    """Return the problems of a published board; see :func:`full_audit`."""
    return list(full_audit(board).problems)


def full_audit(board: Leaderboard) -> Audit:
    """Compare a published board with itself.

    The audit compares the bytes of all files with their checksums; specifications with their hashes
    and with the board; the code of entries with the hashes in the specifications; outcomes with the
    hashes in the manifests, with each other and with what the board's attacks can give; logs of
    training with their recipes; costs and the form of weights with the networks, built with fresh
    weights; findings of checks with the outcomes; and every line of ``leaderboard.csv`` and the
    other tables with that computed from the outcomes.

    Raises:
        UserError: if outcomes or tables cannot be read at all.
    """
    sums = read_sums(board.folder)
    found = [f"{name} is not as {board.folder.name} was published (checksum differs)."
             for name in broken_sums(board.folder, sums)]  # fmt: skip
    found += [f"{name} is not in SHA256SUMS." for name in unlisted(board.folder, sums)]
    if TOML in sums and not _is_same_board(board):
        found.append(f"{TOML} is not the board of board.json.")
    found += source_problems(board)
    found += [problem for cell in board.cells for problem in cell_problems(cell)]
    found += plan_problems(board)
    found += title_problems(board)
    found += weights_problems(board, sums)
    altered = any("outcomes" in problem for problem in found)
    found += code_problems(board)
    found += threat_model_problems(board)
    found += name_problems(board)
    found += log_problems(board)
    found += divergence_problems(board)
    found += cost_problems(board)
    found += tensor_problems(board)
    found += provenance_problems(board)
    challenged = [*challenge_problems(board, sums)]
    found += challenged
    odd = [*layout_problems(board, sums)]
    if altered or challenged:
        return Audit((*found, *odd))  # what follows from them would be reported as well
    copies = duplicates(board)
    lengths = [*length_problems(board)]  # other lengths give no table, and so no README
    wrong = [*lengths, *outcome_problems(board), *copies.problems, *corruption_problems(board)]
    found += [*wrong, *check_problems(board), *spectra_problems(board)]
    found += [] if lengths else readme_problems(board)
    found += [] if wrong else table_problems(board)
    return Audit((*found, *odd), copies)


def _is_same_board(board: Leaderboard) -> bool:
    try:
        values = parse_toml(read_text(board.folder / TOML, longest=DOCUMENT_BYTES))
        return Board.model_validate(values, context=PUBLISHED) == board.board
    except ValueError:
        return False
