"""The page of a leaderboard: one self-contained HTML file with table, charts and evidence."""
