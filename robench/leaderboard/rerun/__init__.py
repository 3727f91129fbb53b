"""Reproduce rows of a published leaderboard from their weights, and compare image by image.

``run`` goes through the cells, and ``cell`` calls the others: ``weights`` finds the files and holds
their headers against the manifests, ``remake`` attacks, checks and measures the network again,
``comparing`` compares outcomes, ``reports`` compares checks, spectra and costs, ``fresh`` attacks
with other seeds, and ``pooling`` tests the outcomes of rows and of the board together.
"""

from robench.leaderboard.rerun.comparing import NOT, REPRODUCED
from robench.leaderboard.rerun.fresh import REFUTED, draw_fresh_seed
from robench.leaderboard.rerun.options import RerunKeywords, RerunOptions
from robench.leaderboard.rerun.run import (
    Rerun,
    board_images,
    draw_rows,
    draw_titles,
    rerun,
    rows_trained,
    rows_with_weights,
)
from robench.leaderboard.rerun.weights import find_weights, weights_elsewhere

__all__ = [
    "NOT",
    "REFUTED",
    "REPRODUCED",
    "Rerun",
    "RerunKeywords",
    "RerunOptions",
    "board_images",
    "draw_fresh_seed",
    "draw_rows",
    "draw_titles",
    "find_weights",
    "rerun",
    "rows_trained",
    "rows_with_weights",
    "weights_elsewhere",
]
