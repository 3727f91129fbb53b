"""Leaderboards: statistics and tables from stored outcomes."""
