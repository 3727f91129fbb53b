"""Boards compared with one another: the same row on each, and mean ranks over all of them."""

from robench.leaderboard.across.boards import BoardComparison, compare_boards
from robench.leaderboard.across.page import write_comparison

__all__ = ["BoardComparison", "compare_boards", "write_comparison"]
