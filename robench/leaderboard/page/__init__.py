"""The page of a leaderboard: one HTML file with table, charts and evidence, opened from disk."""

from robench.leaderboard.page.write import write_page

__all__ = ["write_page"]
