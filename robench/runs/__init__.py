"""Runs: the cells of a board are trained, attacked and checked, here or by other machines."""
