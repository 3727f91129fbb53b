"""``robench compare``: published boards held against one another."""

from collections.abc import Sequence
from pathlib import Path

from robench.leaderboard.across import BoardComparison, compare_boards
from robench.leaderboard.audit.lengths import check_lengths
from robench.leaderboard.published import Leaderboard


def compare(folders: Sequence[Path]) -> BoardComparison:
    """Compare published boards with the first of them; nothing of their code is executed.

    Args:
        folders: the folders of the boards, two or more.

    Raises:
        UserError: if one is not a leaderboard or is damaged, or two have no row in common.
    """
    boards = [Leaderboard.read(folder) for folder in folders]
    for board in boards:
        check_lengths(board)
    return compare_boards(boards)
