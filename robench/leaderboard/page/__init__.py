"""The page of a leaderboard: one self-contained HTML file with table, charts and evidence."""

from robench.leaderboard.page.write import write_page

__all__ = ["write_page"]
