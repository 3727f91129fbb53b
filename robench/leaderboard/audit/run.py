"""The audit of a published leaderboard: its files against each other; no model is run."""

from robench.board.board import Board
from robench.board.specs import PUBLISHED
from robench.leaderboard.audit.cells import cell_problems
from robench.leaderboard.audit.plan import plan_problems
from robench.leaderboard.audit.tables import table_problems
from robench.leaderboard.evidence import TOML, broken_sums, read_sums
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.trust import source_problems
from robench.system.reading import DOCUMENT_BYTES, read_text
from robench.system.toml_files import parse_toml


def audit(board: Leaderboard) -> list[str]:
    """Return the problems of a published board, one sentence each; empty if it is consistent.

    The audit compares the bytes of all files with their checksums; specifications with their hashes
    and with the board; the code of entries with the hashes in the specifications; outcomes with the
    hashes in the manifests; and every figure of ``leaderboard.csv`` and ``comparisons.csv`` with
    the value computed from the outcomes.

    Raises:
        UserError: if outcomes or tables cannot be read at all.
    """
    sums = read_sums(board.folder)
    found = [f"{name} is not as {board.folder.name} was published (checksum differs)."
             for name in broken_sums(board.folder, sums)]  # fmt: skip
    if TOML in sums and not _is_same_board(board):
        found.append(f"{TOML} is not the board of board.json.")
    found += source_problems(board)
    found += [problem for cell in board.cells for problem in cell_problems(cell)]
    found += plan_problems(board)
    if any("outcomes" in problem for problem in found):
        return found  # every figure computed from them would be reported as well
    return found + table_problems(board)


def _is_same_board(board: Leaderboard) -> bool:
    try:
        values = parse_toml(read_text(board.folder / TOML, longest=DOCUMENT_BYTES))
        return Board.model_validate(values, context=PUBLISHED) == board.board
    except ValueError:
        return False
