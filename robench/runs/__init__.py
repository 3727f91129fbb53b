"""Execution: runs the cells of a board."""
